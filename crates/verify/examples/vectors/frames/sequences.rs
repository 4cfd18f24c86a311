//! Sequences of responses to a follower, and its state after each.

use super::*;

impl Feed<'_> {
    fn step(&self, at: i64, documents: BTreeMap<String, Vec<String>>, expect: Expected) -> Step {
        Step { monotonic: 5_000_000 + at * 1000, wall: (NOW + at) * 1000, documents, expect }
    }

    fn after(position: &str, frames: &[String]) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([(position.to_owned(), frames.to_vec())])
    }

    pub(super) fn sequences(&self) -> Vec<Sequence> {
        let state = |position: &str, revoked: &[&'static str], staleness: i64| Expected {
            error: Some(false),
            epoch: Some("e1".to_owned()),
            position: Some(position.to_owned()),
            revoked: revoked.to_vec(),
            staleness: Some(staleness),
        };
        let failed = |position: &str, revoked: &[&'static str], staleness: i64| Expected {
            error: Some(true),
            ..state(position, revoked, staleness)
        };
        let start = || self.step(0, self.start(0, "e1", &[]), state("p0", &[], 0));
        let after = |frames: &[String]| Self::after("e1/after/p0", frames);
        let mut all = Vec::new();
        let mut add = |name: &str, steps: Vec<Step>| all.push(Sequence { name: name.to_owned(), steps });
        // The entries that revoke a token.
        const UNDATED: [&str; 5] = [
            "client",
            "client with jti of version 4",
            "client without jti",
            "sid of version 4",
            "sid with a foreign character",
        ];
        let ids: [(&str, &[&'static str]); 6] = [
            (SESSION, &["user"]),
            (TOKEN, &["client", "sid of version 4", "sid with a foreign character", "user"]),
            ("web", &["user"]),
            ("key-1", &["client"]),
            ("ed-2", &["user, by ed-2"]),
            ("user-1", &[]),
        ];
        for (id, names) in ids {
            let frame = self.live(1, "p0", "p1", &[("revoked", revoked(&[id]))]);
            add(&format!("revoked id {id}"), vec![start(), self.step(1, after(&[frame]), state("p1", names, 0))]);
        }
        let undated_and_user: Vec<&'static str> = UNDATED.into_iter().chain(["user", "user, by ed-2"]).collect();
        for (before, names) in [(SESSION_BEGAN - 1, vec![]), (SESSION_BEGAN, vec!["user", "user, by ed-2"])] {
            let undated = before >= TOKEN_BEGAN - SKEW;
            let mut names: Vec<&'static str> = names;
            names.extend(UNDATED.iter().filter(|_| undated));
            names.sort_unstable();
            let frame = self.live(1, "p0", "p1", &[("revoked_before", revoked_before("user-1", before))]);
            add(&format!("user before {before}"), vec![start(), self.step(1, after(&[frame]), state("p1", &names, 0))]);
        }
        let frame = self.live(1, "p0", "p1", &[("not_before", json!(TOKEN_BEGAN + 1))]);
        let expect = state("p1", &undated_and_user, 0);
        add("not_before after all", vec![start(), self.step(1, after(&[frame]), expect)]);
        let frame = self.live(1, "p0", "p1", &[("not_before", json!(SESSION_BEGAN + 1))]);
        let later = self.live(2, "p1", "p2", &[]);
        add(
            "not_before stays",
            vec![
                start(),
                self.step(1, after(&[frame]), state("p1", &["user", "user, by ed-2"], 0)),
                self.step(2, Self::after("e1/after/p1", &[later]), state("p2", &["user", "user, by ed-2"], 0)),
            ],
        );
        // The order of frames.
        let one = self.live(1, "p0", "p1", &[("revoked", revoked(&["web"]))]);
        let two = self.live(2, "p1", "p2", &[("revoked", revoked(&["key-1"]))]);
        add(
            "two frames",
            vec![start(), self.step(2, after(&[one.clone(), two.clone()]), state("p2", &["client", "user"], 0))],
        );
        add(
            "gap: the entries count, the position does not",
            vec![
                start(),
                self.step(2, after(std::slice::from_ref(&two)), failed("p0", &["client"], 2000)),
                self.step(3, after(&[one.clone(), two.clone()]), state("p2", &["client", "user"], 1000)),
            ],
        );
        add(
            "replayed frame does not look fresh",
            vec![
                start(),
                self.step(1, after(std::slice::from_ref(&one)), state("p1", &["user"], 0)),
                self.step(9, Self::after("e1/after/p1", std::slice::from_ref(&one)), state("p1", &["user"], 8000)),
            ],
        );
        add(
            "heartbeats",
            vec![
                start(),
                self.step(1, after(&[self.live(1, "p0", "p0", &[])]), state("p0", &[], 0)),
                self.step(4, after(&[self.live(2, "p0", "p0", &[])]), state("p0", &[], 2000)),
            ],
        );
        for (name, bad) in [
            ("truncated", one[..one.len() - 9].to_owned()),
            ("signed by a stranger", self.keys.jws("stranger", &Self::header("ed"), object(&self.members(1, &[])))),
            ("wrong issuer", self.live(1, "p0", "p1", &[("iss", json!("https://id.example.com"))])),
            (
                "ES256",
                one.replacen(&encode(Self::header("ed")), &encode(Self::header("ec").replace("EdDSA", "ES256")), 1),
            ),
        ] {
            add(
                &format!("discarded frame: {name}"),
                vec![
                    start(),
                    self.step(1, after(&[bad]), failed("p0", &[], 1000)),
                    self.step(2, after(std::slice::from_ref(&one)), state("p1", &["user"], 1000)),
                ],
            );
        }
        let revoking = self.live(1, "p0", "p1", &[("revoked", revoked(&["ed"]))]);
        let by_revoked = self.live(2, "p1", "p2", &[("revoked", revoked(&["ed-2"]))]);
        let signed_by_ed: Vec<&'static str> = UNDATED.into_iter().chain(["user"]).collect();
        add(
            "frame by a revoked key",
            vec![
                start(),
                self.step(1, after(&[revoking]), state("p1", &signed_by_ed, 0)),
                self.step(2, Self::after("e1/after/p1", &[by_revoked]), failed("p1", &signed_by_ed, 1000)),
            ],
        );
        let entry = ("revoked", revoked(&["web"]));
        let mut segment = self.members(1, &[("from", json!("p0")), ("to", json!("p1")), entry]);
        segment.retain(|(name, _)| !["not_before", "jwks"].contains(name));
        let segment = self.keys.jws("ed", &Self::header("ed"), object(&segment));
        add(
            "segment in place of the live feed: its entries count, and it proves nothing",
            vec![
                start(),
                self.step(1, after(&[segment]), failed("p1", &["user"], 1000)),
                self.step(2, Self::after("e1/after/p1", &[two]), state("p2", &["client", "user"], 0)),
            ],
        );
        // Other epochs.
        let other = self.frame(2, &[("epoch", json!("e2")), ("from", json!("p0"))]);
        let mut second = self.step(3, self.start(3, "e2", &[]), state("p0", &["user"], 0));
        second.expect.epoch = Some("e2".to_owned());
        let mut noticed = self.step(2, Self::after("e1/after/p1", &[other]), state("p1", &["user"], 1000));
        // Some followers report it.
        noticed.expect.error = None;
        noticed.expect.position = None;
        noticed.expect.epoch = None;
        add(
            "another epoch: the snapshot is read, and what was revoked stays revoked",
            vec![start(), self.step(1, after(std::slice::from_ref(&one)), state("p1", &["user"], 0)), noticed, second],
        );
        // Snapshots.
        let part = |number: i64, of: i64, to: &str, id: &str| {
            self.frame(
                0,
                &[("to", json!(to)), ("part", json!(number)), ("parts", json!(of)), ("revoked", revoked(&[id]))],
            )
        };
        let head = self.frame(0, &[("from", json!("p0")), ("segments", json!(["p0"]))]);
        let snapshot = |parts: &[String]| {
            BTreeMap::from([("snapshot".to_owned(), parts.to_vec()), (String::new(), vec![head.clone()])])
        };
        add(
            "snapshot in two parts",
            vec![self.step(
                0,
                snapshot(&[part(1, 2, "p0", "web"), part(2, 2, "p0", "key-1")]),
                state("p0", &["client", "user"], 0),
            )],
        );
        let broken: [(&str, Vec<String>, &[&'static str]); 6] = [
            ("the head in its place", vec![head.clone()], &[]),
            ("a frame of the live feed in its place", vec![self.live(0, "p-1", "p0", &[])], &[]),
            ("first part is missing", vec![part(2, 2, "p0", "web")], &["user"]),
            ("last part is missing", vec![part(1, 2, "p0", "web")], &["user"]),
            ("parts of two snapshots", vec![part(1, 2, "p0", "web"), part(2, 2, "p1", "key-1")], &["client", "user"]),
            ("other order", vec![part(2, 2, "p0", "web")], &["user"]),
        ];
        for (name, parts, names) in broken {
            let nothing =
                Expected { error: Some(true), epoch: None, position: None, revoked: names.to_vec(), staleness: None };
            add(
                &format!("snapshot: {name}"),
                vec![
                    self.step(0, snapshot(&parts), nothing),
                    self.step(1, self.start(1, "e1", &[]), state("p0", names, 0)),
                ],
            );
        }
        // Clocks.
        let ahead = self.step(1, after(&[self.live(122, "p0", "p0", &[])]), failed("p0", &[], 1000));
        add("frame far from the wall clock proves nothing", vec![start(), ahead]);
        // The machine of the follower sleeps for a minute, and a relay has kept a response meanwhile.
        let mut asleep = self.step(0, after(&[self.live(0, "p0", "p0", &[])]), state("p0", &[], 60_000));
        asleep.wall += 60_000;
        let mut awake = self.step(0, after(&[self.live(60, "p0", "p0", &[])]), state("p0", &[], 0));
        awake.wall += 60_000;
        add("the monotonic clock stands still for a minute", vec![start(), asleep, awake]);
        let delayed = |at: i64, staleness: i64| {
            self.step(at, after(&[self.live(at - 5, "p0", "p0", &[])]), state("p0", &[], staleness))
        };
        add("offsets are forgotten after an hour", vec![start(), delayed(3599, 5000), delayed(3600, 0)]);
        let (mut early, mut late) =
            (start(), self.step(1, after(&[self.live(1, "p0", "p0", &[])]), state("p0", &[], 0)));
        early.wall += 90_000;
        late.wall += 90_000;
        add("wall clock that differs by 90 s", vec![early, late]);
        all
    }
}
