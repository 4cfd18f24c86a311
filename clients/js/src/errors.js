// Why a token is refused, and why the feed cannot be followed. Errors never contain a token or another secret.

/** @type {Record<import('../types/index.d.ts').ErrorCode, { status: 400 | 401 | 403 | 503, title: string }>} */
export const ERRORS = {
  missing: { status: 401, title: 'An access token is required' },
  invalid_request: { status: 400, title: 'The request must have one access token, as Authorization: Bearer …' },
  malformed: { status: 401, title: 'The access token is malformed' },
  unsupported_algorithm: { status: 401, title: 'The access token is signed with an algorithm that is not supported' },
  unknown_key: { status: 401, title: 'The access token is signed with an unknown key' },
  bad_signature: { status: 401, title: 'The signature of the access token is invalid' },
  wrong_type: { status: 401, title: 'The token is not an access token' },
  wrong_issuer: { status: 401, title: 'The access token was issued by another issuer' },
  wrong_audience: { status: 401, title: 'The access token was issued for another audience' },
  expired: { status: 401, title: 'The access token has expired' },
  not_yet_valid: { status: 401, title: 'The access token is not valid yet' },
  revoked: { status: 401, title: 'The access token was revoked' },
  wrong_subject: { status: 401, title: 'The access token was issued to another kind of subject' },
  insufficient_scope: { status: 403, title: 'The access token lacks a scope' },
  stale: { status: 503, title: 'Revocations cannot be checked at the moment' },
  unavailable: { status: 503, title: 'Access tokens cannot be verified at the moment' },
};

/** A token is refused, or cannot be checked. */
export class VerifyError extends Error {
  /**
   * @param {import('../types/index.d.ts').ErrorCode} code
   * @param {{ cause?: unknown, scopes?: readonly string[] }} [details]
   */
  constructor(code, details = {}) {
    super(ERRORS[code].title, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'VerifyError';
    this.code = code;
    this.status = ERRORS[code].status;
    /** @type {readonly string[]} */
    this.scopes = details.scopes ?? [];
  }
}

/** The metadata, the keys or the feed cannot be read, or a frame of the feed is not genuine. */
export class FeedError extends Error {
  /**
   * @param {import('../types/index.d.ts').FeedErrorCode} code
   * @param {string} message
   * @param {{ cause?: unknown, retryAfter?: number }} [details]
   */
  constructor(code, message, details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'FeedError';
    this.code = code;
    /** Seconds to wait, as the server asked. */
    this.retryAfter = details.retryAfter;
  }
}
