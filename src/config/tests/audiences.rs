//! The settings of audiences.

use super::*;

fn audience_names(config: &Config) -> Vec<&str> {
    config.audiences.iter().map(|audience| audience.name.as_str()).collect()
}

#[test]
fn audiences_are_tables_by_name_or_url() {
    let toml = "[audiences.orders]\n[audiences.\"https://api.example.com/v1\"]\nlifetime = \"5m\"\nalgorithm = \"ES256\"\n\
                claims = [\"email\", \"tenant\"]\nscopes = []";
    let config = load(toml, &[], &[]).unwrap();
    let [api, orders] = &config.audiences[..] else { panic!("{:?}", config.audiences) };
    assert_eq!((api.name.as_str(), api.lifetime), ("https://api.example.com/v1", Some(Duration::from_secs(300))));
    assert_eq!((api.algorithm, api.scopes.as_deref()), (SigningAlgorithm::Es256, Some(&[][..])));
    assert_eq!(api.claims.as_deref(), Some(&["email".to_owned(), "tenant".to_owned()][..]));
    let defaults = Audience {
        name: "orders".to_owned(),
        lifetime: None,
        algorithm: SigningAlgorithm::EdDsa,
        claims: None,
        scopes: None,
    };
    assert_eq!(*orders, defaults);
    let minute = Duration::from_secs(60);
    assert_eq!(
        (api.lifetime(minute), api.lifetime(10 * minute), orders.lifetime(minute)),
        (minute, 5 * minute, minute)
    );
    assert!(orders.allows_scope("any") && !api.allows_scope("any"));
}

#[test]
fn variables_and_flags_change_and_add_audiences() {
    let toml = "[audiences.order-api]\nlifetime = \"5m\"\n[audiences.\"https://api.example.com\"]";
    let variables = [
        ("SIGNET_AUDIENCES__ORDER_API__LIFETIME", "1m"),
        ("SIGNET_AUDIENCES__HTTPS___API_EXAMPLE_COM__SCOPES", "a:read, a:write"),
        ("SIGNET_AUDIENCES__STOCK_API__CLAIMS", "email"),
    ];
    let flags = ["audiences.order-api.lifetime=30s", "audiences.https://x.example.com.algorithm=ES256"];
    let config = load(toml, &variables, &flags).unwrap();
    let names = ["https://api.example.com", "https://x.example.com", "order-api", "stock_api"];
    assert_eq!(audience_names(&config), names);
    assert_eq!(config.audiences[0].scopes.as_ref().unwrap(), &["a:read", "a:write"]);
    assert_eq!(config.audiences[1].algorithm, SigningAlgorithm::Es256);
    assert_eq!(config.audiences[2].lifetime, Some(Duration::from_secs(30)));
    assert_eq!(config.audiences[3].claims.as_ref().unwrap(), &["email"]);
}

#[test]
fn invalid_audiences_are_refused() {
    for (toml, expected) in [
        ("[audiences.signet]", "audiences.signet (config.toml, line 1) has the name of tokens.audience"),
        ("[audiences.\"a b\"]", "audiences.a b (config.toml, line 1) must have a name of"),
        (
            "[audiences.\"https://a.example/#b\"]",
            "audiences.https://a.example/#b (config.toml, line 1) must have a name of",
        ),
        (
            "[audiences.a]\nlifetime = \"2h\"",
            "audiences.a.lifetime (config.toml, line 2) must not be longer than the longest",
        ),
        ("[audiences.a]\nalgorithm = \"RS256\"", "audiences.a.algorithm (config.toml, line 2) is \"RS256\""),
        ("[audiences.a]\nscopes = [\"a b\"]", "audiences.a.scopes (config.toml, line 2) is \"[a b]\""),
        ("[audiences.a]\nlifetme = \"5m\"", "audiences.a.lifetme (config.toml, line 2): no setting has this name; did"),
        (
            "[audiences.api.example.com]",
            "audiences.api.example (config.toml, line 1): no setting has this name; did you \
            mean [audiences.\"api.example\"]",
        ),
        (
            "[audiences.a-b]\n[audiences.a_b]",
            "audiences.a_b (config.toml, line 2) has the same environment variables as",
        ),
    ] {
        let found = errors(toml, &[], &[]);
        assert!(found.iter().any(|error| error.starts_with(expected)), "{toml}: {found:?}");
    }
    let many: String = (0..101).map(|number| format!("[audiences.a{number}]\n")).collect();
    assert!(errors(&many, &[], &[]).iter().any(|error| error.contains("has more than 100 audiences")));
}
