//! Whole commands against a house of cardboard: what is asked of it, and what is printed.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::*;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::rng::Rng;
use crate::store::accounts::{
    ApiKey, Billed, Billing, BillingChange, Changed, Changes, Confirmed, Created, Find, NewUser, PasswordHash,
    RecoveryCode, SealedTotp, User,
};
use crate::store::{self, Accounts, Ephemeral, Result as Kept};

/// A store in memory, and a house that does what the operations would do to it.
#[derive(Clone, Default)]
struct Cardboard(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    users: Vec<User>,
    keys: Vec<ApiKey>,
}

const NOW: Timestamp = Timestamp::from_secs(1_763_130_320);
const NOT_CALLED: &str = "the command line leaves this to an operation";

fn made(new: &NewUser, number: i64) -> User {
    User {
        id: new.id,
        number,
        email: new.email.clone(),
        username: new.username.clone(),
        full_name: new.full_name.clone(),
        password_hash: new.password_hash.clone(),
        verified: new.verified,
        disabled: new.disabled,
        superuser: new.superuser,
        roles: new.roles.clone(),
        totp: None,
        billing: Billing::default(),
        sessions_valid_after: NOW,
        created_at: new.created_at,
        updated_at: NOW,
    }
}

#[async_trait]
impl Accounts for Cardboard {
    async fn create_user(&self, new: &NewUser) -> Kept<Created> {
        let users = &mut self.0.lock().unwrap().users;
        if users.iter().any(|user| user.email == new.email) {
            return Ok(Created::EmailTaken);
        }
        let user = made(new, users.len() as i64 + 1);
        users.push(user.clone());
        Ok(Created::Created(Box::new(user)))
    }
    async fn import_users(&self, new: &[NewUser]) -> Kept<Vec<Created>> {
        let mut all = Vec::new();
        for user in new {
            all.push(Accounts::create_user(self, user).await?);
        }
        Ok(all)
    }
    async fn user(&self, by: Find<'_>) -> Kept<Option<User>> {
        let is = |user: &&User| match by {
            Find::Id(id) => user.id == id,
            Find::Email(email) => user.email == email,
            Find::UsernameKey(key) => user.username.as_deref() == Some(key),
        };
        Ok(self.0.lock().unwrap().users.iter().find(is).cloned())
    }
    async fn users(&self, after: i64, limit: u32) -> Kept<Vec<User>> {
        let state = self.0.lock().unwrap();
        Ok(state.users.iter().filter(|user| user.number > after).take(limit as usize).cloned().collect())
    }
    async fn projects(&self, user: UserId) -> Kept<Vec<(ProjectId, String)>> {
        Ok(vec![(ProjectId(user.0), "Personal".to_owned())])
    }
    async fn api_keys_by_prefix(&self, prefixes: &[&str]) -> Kept<Vec<(ApiKey, User)>> {
        let state = self.0.lock().unwrap();
        let owner = |key: &ApiKey| state.users.iter().find(|user| user.id == key.user).cloned().unwrap();
        let asked = state.keys.iter().filter(|key| prefixes.contains(&key.prefix.as_str()));
        Ok(asked.map(|key| (key.clone(), owner(key))).collect())
    }
    async fn api_keys(&self, project: ProjectId, skip: u32, limit: u32) -> Kept<(Vec<ApiKey>, u64)> {
        let keys = self.0.lock().unwrap().keys.clone();
        let all = keys.into_iter().filter(|key| key.project == project).collect::<Vec<_>>();
        let count = all.len() as u64;
        Ok((all.into_iter().skip(skip as usize).take(limit as usize).collect(), count))
    }
    async fn change_billing(&self, user: UserId, change: &BillingChange, _: Timestamp) -> Kept<Billed> {
        let users = &mut self.0.lock().unwrap().users;
        let Some(row) = users.iter_mut().find(|row| row.id == user) else { return Ok(Billed::Absent) };
        row.billing.token_balance += change.token_balance;
        row.billing.tokens_used += change.tokens_used;
        if let Some(tier) = &change.subscription_tier {
            row.billing.subscription_tier.clone_from(tier);
        }
        Ok(Billed::Billed(Box::new(row.clone())))
    }
    async fn check(&self) -> Kept<()> {
        Ok(())
    }
    async fn rehash(&self, _: UserId, _: &PasswordHash, _: &PasswordHash) -> Kept<bool> {
        unreachable!("{NOT_CALLED}")
    }
    async fn users_page(&self, _: u64, _: u32) -> Kept<Vec<User>> {
        unreachable!("{NOT_CALLED}")
    }
    async fn change_user(&self, _: UserId, _: &Changes, _: Timestamp) -> Kept<Changed> {
        unreachable!("{NOT_CALLED}")
    }
    async fn confirm_email(&self, _: UserId, _: &str, _: Timestamp) -> Kept<Confirmed> {
        unreachable!("{NOT_CALLED}")
    }
    async fn enable_totp(&self, _: UserId, _: &SealedTotp, _: i64, _: &[RecoveryCode], _: Timestamp) -> Kept<bool> {
        unreachable!("{NOT_CALLED}")
    }
    async fn disable_totp(&self, _: UserId, _: Timestamp) -> Kept<bool> {
        unreachable!("{NOT_CALLED}")
    }
    async fn spend_totp_step(&self, _: UserId, _: i64) -> Kept<bool> {
        unreachable!("{NOT_CALLED}")
    }
    async fn recovery_codes(&self, _: UserId) -> Kept<Vec<RecoveryCode>> {
        unreachable!("{NOT_CALLED}")
    }
    async fn spend_recovery_code(&self, _: UserId, _: Uuid) -> Kept<bool> {
        unreachable!("{NOT_CALLED}")
    }
    async fn sealed_totps(&self, _: i64, _: u32) -> Kept<Vec<(i64, UserId, SealedTotp)>> {
        unreachable!("{NOT_CALLED}")
    }
    async fn reseal_totp(&self, _: UserId, _: &SealedTotp, _: &SealedTotp) -> Kept<bool> {
        unreachable!("{NOT_CALLED}")
    }
    async fn create_project(&self, _: UserId, _: ProjectId, _: &str, _: Timestamp) -> Kept<bool> {
        unreachable!("{NOT_CALLED}")
    }
    async fn end_sign_ins(&self, _: UserId, _: Timestamp) -> Kept<Option<User>> {
        unreachable!("{NOT_CALLED}")
    }
    async fn delete_user(&self, _: UserId, _: Timestamp, _: Timestamp) -> Kept<bool> {
        unreachable!("{NOT_CALLED}")
    }
    async fn ended_since(&self, _: Timestamp, _: Option<UserId>, _: u32) -> Kept<Vec<(UserId, Timestamp)>> {
        unreachable!("{NOT_CALLED}")
    }
    async fn create_api_key(&self, _: &ApiKey) -> Kept<bool> {
        unreachable!("{NOT_CALLED}")
    }
    async fn deactivate_api_key(&self, _: ProjectId, _: ApiKeyId, _: Timestamp) -> Kept<Option<ApiKey>> {
        unreachable!("{NOT_CALLED}")
    }
    async fn deactivated_since(&self, _: Timestamp, _: Option<ApiKeyId>, _: u32) -> Kept<Vec<(ApiKeyId, Timestamp)>> {
        unreachable!("{NOT_CALLED}")
    }
    async fn touch_api_keys(&self, _: &[(ApiKeyId, Timestamp)]) -> Kept<()> {
        unreachable!("{NOT_CALLED}")
    }
}

#[async_trait]
impl House for Cardboard {
    fn accounts(&self) -> &dyn Accounts {
        self
    }
    async fn find(&self, who: &str) -> Result<Option<User>, CliError> {
        Ok(match UserId::parse(who) {
            Some(id) => self.user(Find::Id(id)).await?,
            None if who.contains('@') => self.user(Find::Email(who)).await?,
            None => self.user(Find::UsernameKey(who)).await?,
        })
    }
    fn prepare(&self, record: &Record) -> Result<NewUser, String> {
        if !record.email.contains('@') {
            return Err("not an e-mail address".to_owned());
        }
        let rng = Rng::system();
        Ok(NewUser {
            id: record.id.unwrap_or_else(|| UserId::new(NOW, &rng)),
            email: record.email.clone(),
            username: record.username.clone(),
            username_key: record.username.clone(),
            full_name: record.full_name.clone(),
            password_hash: record.password_hash.clone().map(PasswordHash),
            verified: record.verified,
            disabled: record.disabled,
            superuser: record.superuser,
            roles: record.roles.clone(),
            project: ProjectId::new(NOW, &rng),
            created_at: record.created_at.unwrap_or(NOW),
        })
    }
    async fn create_user(&self, account: NewAccount) -> Result<User, CliError> {
        let new = self.prepare(&account.record).unwrap();
        match Accounts::create_user(self, &new).await? {
            Created::Created(user) => Ok(*user),
            Created::EmailTaken | Created::UsernameTaken => {
                Err(CliError::Refused { what: "taken".to_owned(), remedy: "choose another".to_owned() })
            }
        }
    }
    async fn set_disabled(&self, user: UserId, disabled: bool) -> Result<Option<User>, CliError> {
        let mut state = self.0.lock().unwrap();
        Ok(state.users.iter_mut().find(|row| row.id == user).map(|row| {
            row.disabled = disabled;
            row.clone()
        }))
    }
    async fn delete_user(&self, user: UserId) -> Result<bool, CliError> {
        let users = &mut self.0.lock().unwrap().users;
        let before = users.len();
        users.retain(|row| row.id != user);
        Ok(users.len() < before)
    }
    async fn draw_password(&self) -> Result<(Zeroizing<String>, PasswordHash), CliError> {
        unreachable!("{NOT_CALLED}")
    }
    async fn open_session(&self, _: &User) -> Result<NewSession, CliError> {
        unreachable!("{NOT_CALLED}")
    }
    async fn keys(&self) -> Result<Vec<Key>, CliError> {
        Ok(vec![Key {
            kid: "one".to_owned(),
            state: "signing",
            announced_at: NOW,
            signs_from: Some(NOW),
            verifies_until: None,
        }])
    }
    async fn rotate_keys(&self) -> Result<Key, CliError> {
        self.import_key("").await
    }
    async fn revoke_key(&self, kid: &str) -> Result<Option<Key>, CliError> {
        Ok(self.keys().await?.into_iter().find(|key| key.kid == kid))
    }
    async fn import_key(&self, pem: &str) -> Result<Key, CliError> {
        Ok(Key { kid: pem.to_owned(), state: "announced", announced_at: NOW, signs_from: None, verifies_until: None })
    }
    async fn export_key(&self, kid: &str) -> Result<Option<Zeroizing<String>>, CliError> {
        Ok((kid == "one").then(|| Zeroizing::new("PEM\n".to_owned())))
    }
    async fn create_api_key(&self, new: NewApiKey) -> Result<(ApiKey, Zeroizing<String>), CliError> {
        let key = ApiKey {
            id: ApiKeyId::new(NOW, &Rng::system()),
            project: new.project,
            user: new.user,
            prefix: "sk_abc".to_owned(),
            digest: [0; 32],
            name: new.name,
            scopes: new.scopes,
            last_used_at: None,
            expires_at: None,
            deactivated_at: None,
            created_at: NOW,
            updated_at: NOW,
        };
        self.0.lock().unwrap().keys.push(key.clone());
        Ok((key, Zeroizing::new("sk_abc_whole".to_owned())))
    }
    async fn deactivate_api_key(&self, key: &ApiKey) -> Result<Option<ApiKey>, CliError> {
        Ok(Some(ApiKey { deactivated_at: Some(NOW), ..key.clone() }))
    }
}

#[async_trait]
impl Program for Cardboard {
    fn serve(&self, _: Config) -> Result<(), CliError> {
        Err(CliError::Refused { what: "served".to_owned(), remedy: String::new() })
    }
    async fn migrate(&self, _: &Config) -> Result<Vec<Applied>, CliError> {
        Ok(vec![Applied { store: "accounts", number: 1, name: "users".to_owned() }])
    }
    async fn open(&self, _: &Config) -> Result<Box<dyn House>, CliError> {
        Ok(Box::new(self.clone()))
    }
    async fn accounts(&self, _: &Config) -> Result<Arc<dyn Accounts>, CliError> {
        Ok(Arc::new(self.clone()))
    }
    async fn ephemeral(&self, _: &Config) -> Result<Arc<dyn Ephemeral>, CliError> {
        Err(store::Error::Unavailable { store: "redis", detail: "refused".to_owned() }.into())
    }
    async fn mail(&self, _: &Config) -> Result<(), CliError> {
        Ok(())
    }
}

impl Cardboard {
    /// Runs what is typed, and gives what was printed and how it went.
    fn typed(&self, typed: &str) -> (String, Result<(), CliError>) {
        let arguments = Arguments::try_parse_from(typed.split(' ')).unwrap();
        let mut printed = Vec::new();
        let mut output = Output::new(&mut printed, arguments.json);
        let command = arguments.command.unwrap_or(Command::Serve);
        let result = dispatch(self, command, || Ok(Config::default()), &mut output);
        (String::from_utf8(printed).unwrap(), result)
    }

    fn printed(&self, typed: &str) -> String {
        let (printed, result) = self.typed(typed);
        result.unwrap();
        printed
    }

    fn json(&self, typed: &str) -> Value {
        serde_json::from_str(&self.printed(typed)).unwrap()
    }
}

#[test]
fn what_can_be_typed_hangs_together() {
    Arguments::command().debug_assert();
}

#[test]
fn without_a_command_it_serves() {
    let told = Cardboard::default().typed("signet").1.unwrap_err();
    assert_eq!(told.to_string(), "served");
}

#[test]
fn a_user_is_made_shown_disabled_and_deleted() {
    let house = Cardboard::default();
    let made = house.json("signet --json users create --email a@example.com --username ann --superuser --role editor");
    assert_eq!(
        (&made["superuser"], &made["verified"], &made["has_password"]),
        (&true.into(), &false.into(), &false.into())
    );
    assert_eq!(house.json("signet users show ann --json")["id"], made["id"]);
    assert_eq!(house.json("signet --json users disable a@example.com")["disabled"], true);
    assert_eq!(house.json("signet --json users enable a@example.com")["disabled"], false);
    assert_eq!(house.json("signet --json users delete ann")["id"], made["id"]);
    let gone = house.typed("signet users show ann").1.unwrap_err();
    assert_eq!((gone.exit_code(), gone.worded(false).lines().count()), (1, 2));
    assert_eq!(
        serde_json::from_str::<Value>(&gone.worded(true)).unwrap()["error"]["message"],
        "there is no user \"ann\""
    );
}

#[test]
fn a_list_says_when_there_is_more() {
    let house = Cardboard::default();
    for name in ["a", "b", "c"] {
        house.printed(&format!("signet users create --email {name}@example.com"));
    }
    let printed = house.printed("signet users list --limit 2");
    let lines = printed.lines().collect::<Vec<_>>();
    assert!(lines[0].starts_with("NUMBER  ID") && lines[2].contains("b@example.com"), "{printed}");
    assert_eq!(lines[3], "there may be more: signet users list --limit 2 --after 2");
    let rest = house.json("signet --json users list --after 2");
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["number"]), (1, &3.into()));
}

#[test]
fn a_name_cannot_command_the_terminal() {
    let house = Cardboard::default();
    let command =
        Arguments::try_parse_from(["signet", "users", "create", "--email", "a@b", "--full-name", "\u{1b}[2J"]);
    let mut printed = Vec::new();
    let load = || Ok(Config::default());
    dispatch(&house, command.unwrap().command.unwrap(), load, &mut Output::new(&mut printed, false)).unwrap();
    assert!(!printed.contains(&0x1b));
}

#[test]
fn what_is_exported_can_be_imported_and_nothing_is_lost() {
    let (old, new) = (Cardboard::default(), Cardboard::default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.jsonl");
    let line = r#"{"email":"a@b","username":"ann","full_name":"Ann","password_hash":"$2b$12$x","verified":true,"disabled":true,"superuser":true,"roles":["editor"],"token_balance":70,"tokens_used":30,"subscription_tier":"pro","created_at":"2024-01-31T12:00:00+02:00"}"#;
    std::fs::write(&file, format!("{line}\n\n{{\"email\":\"c@d\"}}\n")).unwrap();
    assert_eq!(old.json(&format!("signet --json users import {}", file.display()))["imported"], 2);
    assert_eq!(old.0.lock().unwrap().users[0].created_at, Timestamp::from_secs(1_706_695_200));
    let shown = old.json("signet --json users show ann");
    assert_eq!((&shown["token_balance"], &shown["tokens_used"]), (&70.into(), &30.into()));
    assert_eq!((&shown["subscription_tier"], &shown["second_factor"]), (&"pro".into(), &false.into()));

    std::fs::write(&file, old.printed("signet users export --with-hashes")).unwrap();
    assert_eq!(new.json(&format!("signet --json users import {}", file.display()))["imported"], 2);
    assert_eq!(new.0.lock().unwrap().users, old.0.lock().unwrap().users);
    assert!(!old.printed("signet users export").contains("$2b$"));

    let again = new.json(&format!("signet --json users import {}", file.display()));
    assert_eq!((&again["imported"], again["left_out"].as_array().unwrap().len()), (&0.into(), 2));
}

#[test]
fn a_second_factor_is_shown_and_said_to_stay_behind() {
    let (old, new) = (Cardboard::default(), Cardboard::default());
    old.printed("signet users create --email a@b");
    old.0.lock().unwrap().users[0].totp = Some(SealedTotp(b"sealed".to_vec()));
    assert_eq!(old.json("signet --json users show a@b")["second_factor"], true);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.jsonl");
    std::fs::write(&file, old.printed("signet users export --with-hashes")).unwrap();
    let told = new.json(&format!("signet --json users import {}", file.display()));
    assert_eq!((&told["imported"], &told["without_second_factor"]), (&1.into(), &1.into()));
    assert_eq!(new.json("signet --json users show a@b")["second_factor"], false);
}

#[test]
fn lines_that_cannot_be_read_are_named_and_the_rest_is_imported() {
    let house = Cardboard::default();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.jsonl");
    let lines = [
        "{\"email\":\"a@b\"}",
        "{\"email\":\"c@d\",\"disable\":true}",
        "no",
        "{\"email\":\"x\"}",
        "{\"email\":\"a@b\"}",
        "{\"email\":\"e@f\",\"tokens_used\":-1}",
    ];
    std::fs::write(&file, lines.join("\n")).unwrap();
    let (printed, result) = house.typed(&format!("signet users import {}", file.display()));
    assert_eq!(result.unwrap_err().exit_code(), 1);
    let starts = [
        "line 2: left out: unknown field `disable`",
        "line 3: ",
        "line 4: left out: x: not an",
        "line 5: left out: a@b: another user has this address",
        "line 6: left out: e@f: token_balance or tokens_used is below zero",
        "1 imported, 5 left out",
    ];
    for (line, start) in printed.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn signing_keys_are_listed_and_exported() {
    let house = Cardboard::default();
    assert_eq!(house.json("signet --json keys list")[0]["state"], "signing");
    assert_eq!(house.json("signet --json keys rotate")["signs_from"], Value::Null);
    assert_eq!(house.printed("signet keys export one"), "PEM\n");
    assert_eq!(house.typed("signet keys revoke two").1.unwrap_err().to_string(), "there is no signing key \"two\"");
}

#[test]
fn an_api_key_is_shown_whole_only_once() {
    let house = Cardboard::default();
    let user = house.json("signet --json users create --email a@b");
    let made = house.json("signet --json api-keys create --user a@b --name gateway --scope introspect");
    assert_eq!((&made["full_key"], &made["project"]), (&"sk_abc_whole".into(), &user["id"]));
    let listed = house.json("signet --json api-keys list --user a@b");
    assert_eq!((&listed[0]["scopes"][0], listed[0].get("full_key")), (&"introspect".into(), None));
    assert_ne!(house.json("signet --json api-keys deactivate sk_abc")["deactivated_at"], Value::Null);
    let foreign = house.typed("signet api-keys list --user a@b --project 019a0000-0000-7000-8000-000000000000");
    assert!(foreign.1.unwrap_err().to_string().starts_with("there is no project of this user"));
}

#[test]
fn a_check_says_of_each_part_how_it_is() {
    let (printed, result) = Cardboard::default().typed("signet --json check");
    assert_eq!(result.unwrap_err().exit_code(), 1);
    let findings: Vec<Value> = serde_json::from_str(&printed).unwrap();
    let results =
        findings.iter().map(|finding| (finding["part"].as_str().unwrap(), finding["result"].as_str().unwrap()));
    assert_eq!(
        results.collect::<Vec<_>>(),
        [("settings", "ok"), ("accounts", "ok"), ("ephemeral", "failed"), ("mail", "ok")]
    );
    assert!(findings[2]["detail"].as_str().unwrap().contains("redis is unavailable: refused; "));
}

#[test]
fn completions_and_migrations_are_printed() {
    let house = Cardboard::default();
    assert!(house.printed("signet completions bash").contains("api-keys"));
    assert_eq!(house.json("signet --json migrate")[0]["number"], 1);
}

/// A key that must be revoked must be revocable, however its name begins.
#[test]
fn a_key_whose_name_begins_with_a_hyphen_is_named_like_any_other() {
    for kid in ["-lg8k9RrCL5NPGHw", "-hg8k9RrCL5NPGHw", "--g8k9RrCL5NPGHw", "_lg8k9RrCL5NPGHw"] {
        for line in [["--json", "keys", "revoke", kid], ["keys", "revoke", kid, "--json"]] {
            let arguments = Arguments::try_parse_from([&["signet"], &line[..]].concat()).unwrap();
            let Command::Keys { command: super::arguments::Keys::Revoke { kid: read } } = arguments.command.unwrap()
            else {
                panic!("{line:?}")
            };
            assert_eq!((read.as_str(), arguments.json), (kid, true));
        }
    }
}
