//! Reads the environment, the only place that does. Knows how variables are named, and no individual setting.

use crate::config::raw::RawConfig;

/// The variable of a key: `SIGNET_SERVER__LISTEN` for `server.listen`. Between the section and the setting may be the
/// name of a table, which may contain any character. All but letters and digits become underscores:
/// `SIGNET_AUDIENCES__HTTPS___API_EXAMPLE_COM__CLAIMS` for `audiences.https://api.example.com.claims`.
pub(super) fn variable(key: &str) -> String {
    let (section, rest) = key.split_once('.').unwrap_or(("", key));
    let (table, setting) = rest.rsplit_once('.').unwrap_or(("", rest));
    let table = table.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    let parts: Vec<&str> = [section, &table, setting].into_iter().filter(|part| !part.is_empty()).collect();
    format!("SIGNET_{}", parts.join("__").to_uppercase())
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

    /// The names of the tables below a section that variables name, for tables with these settings. A variable that
    /// belongs to one of the tables in `known` names no other; the rest name a table in lower case.
    pub(super) fn tables_in_variables<'n>(
        &self,
        section: &str,
        settings: &[&str],
        known: impl Iterator<Item = &'n String>,
    ) -> Vec<String> {
        let prefix = format!("SIGNET_{}__", section.to_uppercase());
        let known: Vec<String> = known.map(|name| variable(&format!("{section}.{name}.x"))).collect();
        let table = |variable: &String| {
            let rest = variable.strip_prefix(&prefix)?;
            let end = |setting: &&str| rest.strip_suffix(&format!("__{}", setting.to_uppercase()));
            settings.iter().find_map(end).filter(|table| !table.is_empty()).map(str::to_owned)
        };
        let tables = self.environment.keys().filter_map(table);
        let is_new = |table: &String| !known.contains(&format!("{prefix}{table}__X"));
        tables.filter(is_new).map(|table| table.to_lowercase()).collect()
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
