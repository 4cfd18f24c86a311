//! The settings of the pages: each once, with its type and its default.

use super::super::reader::Section;
use super::super::{Home, Pages};
use crate::config::values::{LinkAddress, ValueType};

pub(super) fn pages(from: &mut Section<'_>) -> Pages {
    Pages { home: from.read("home", HomeValue, Home::Page) }
}

/// The value of `home`.
struct HomeValue;
impl ValueType for HomeValue {
    type Value = Home;
    fn allowed(&self) -> String {
        "\"page\", \"off\", or the http or https URL of a page of yours".to_owned()
    }
    fn parse(&self, text: &str) -> Option<Home> {
        match text {
            "page" => Some(Home::Page),
            "off" => Some(Home::Off),
            url => LinkAddress.parse(url).map(Home::Redirect),
        }
    }
}
