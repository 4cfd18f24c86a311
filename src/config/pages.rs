//! The settings of the pages.

/// The pages that Signet serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages {
    /// The page at `/`.
    pub home: Home,
}

/// The page at `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// Signet's own page.
    Page,
    /// Another page, to which it redirects.
    Redirect(String),
    /// Nothing: 404.
    Off,
}
