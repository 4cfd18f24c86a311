//! Reads the environment, the only place that does. Knows how variables are named, and no individual setting.

use crate::config::raw::RawConfig;

/// The variable of a key: `SIGNET_SERVER__LISTEN` for `server.listen`.
pub(super) fn variable(key: &str) -> String {
    format!("SIGNET_{}", key.to_uppercase().replace('.', "__"))
}

impl RawConfig {
    /// Adds the environment of this process. Empty variables count as unset, because a compose file passes unset
    /// variables as empty ones.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub(super) fn add_environment(&mut self) {
        self.add_variables(
            std::env::vars_os()
                .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())),
        );
    }

    /// Adds variables by name and value.
    pub(super) fn add_variables(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        self.environment
            .extend(variables.into_iter().filter(|(name, value)| !value.trim().is_empty() && !set_by_kubernetes(name)));
    }

    /// `SIGNET_` variables that no setting has read.
    pub(super) fn unused_variables(&self) -> impl Iterator<Item = &str> {
        self.environment.keys().map(String::as_str).filter(|name| name.to_uppercase().starts_with("SIGNET_"))
    }
}

/// Kubernetes sets `<NAME>_SERVICE_HOST`, `<NAME>_PORT` and similar variables for every service of the namespace. For a
/// service called `signet` these look like misspelt settings, which would keep the server from starting.
fn set_by_kubernetes(name: &str) -> bool {
    name == "SIGNET_PORT"
        || name == "SIGNET_SERVICE_HOST"
        || name == "SIGNET_SERVICE_PORT"
        || name.starts_with("SIGNET_SERVICE_PORT_")
        || (name.starts_with("SIGNET_PORT_") && !name.contains("__"))
}
