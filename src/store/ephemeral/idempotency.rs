//! Requests that a client may repeat without their effect happening twice. Knows no store.

/// A request that carries an idempotency key.
#[derive(Clone, Copy, Debug)]
pub struct IdempotentRequest<'a> {
    /// Names the client, the call and the client's key.
    pub key: &'a str,
    /// Differs if the content of the request differs.
    pub fingerprint: [u8; 32],
}

/// The result of reserving an idempotency key for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReservation {
    /// The caller has the key, and executes the request.
    Reserved,
    /// Another caller executes the same request.
    InProgress,
    /// The same request was executed. Contains its response.
    Completed(Vec<u8>),
    /// Another request had the key.
    OtherRequest,
}
