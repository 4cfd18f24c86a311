//! Imports that fail midway.

use super::*;

/// The report has a buffer of 8 KiB, so that it fails between the users of a batch.
#[test]
fn users_count_as_imported_though_the_report_fails() {
    let cli = TestCli::new();
    let taken = "{\"email\":\"a@example.com\"}\n".repeat(200);
    let file = cli.file(&format!("{taken}{{\"email\":\"b@example.com\"}}"));
    let error = cli.run(&format!("signet users import --report /dev/full {file}")).1.unwrap_err();
    assert!(error.to_string().starts_with("writing the report: "), "{error}");
    assert_eq!(cli.users().len(), 2);
    assert_eq!(cli.json("signet --json audit --type users.imported")[0]["details"]["count"], 2);
}
