//! The environment: the only place in the program that reads it. Knows how variables are named, and no setting.

use crate::config::raw::RawConfig;

/// The variable that sets a key: `server.listen` is `SIGNET_SERVER__LISTEN`.
pub(super) fn variable(key: &str) -> String {
    format!("SIGNET_{}", key.to_uppercase().replace('.', "__"))
}

impl RawConfig {
    /// Adds the process's own environment. An empty variable is as good as none: that is what a compose file makes of
    /// a variable that was not given.
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

    /// The variables that claim to be settings and that nobody has asked for.
    pub(super) fn left_in_environment(&self) -> impl Iterator<Item = &str> {
        self.environment.keys().map(String::as_str).filter(|name| name.to_uppercase().starts_with("SIGNET_"))
    }
}

/// Kubernetes gives every container `<NAME>_SERVICE_HOST`, `<NAME>_PORT` and their like for every service of its
/// namespace. With a service called `signet` these look like misspelt settings, and refusing them would keep the server
/// from starting in the place where it is most at home.
fn set_by_kubernetes(name: &str) -> bool {
    name == "SIGNET_PORT"
        || name == "SIGNET_SERVICE_HOST"
        || name == "SIGNET_SERVICE_PORT"
        || name.starts_with("SIGNET_SERVICE_PORT_")
        || (name.starts_with("SIGNET_PORT_") && !name.contains("__"))
}
