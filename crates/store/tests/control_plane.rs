//! What the control plane keeps: projects, revisions, rotation, admin tokens,
//! the audit log, and requests that may be sent twice.

use std::path::PathBuf;

use engine::{
    KeyId, KeyPolicy, KeyState, Limit, Name, Prefix, SecretKey, ServerSecret, SessionRecord,
    SessionToken,
};
use serde_json::json;
use tokenkit_store::{
    Actor, AuditEntry, AuditQuery, Follower, Idempotent, MAX_TOKENS_IN_USE, Scope, SessionId,
    SessionQuery, Store, StoreError, StoredKey, StoredSession, StoredToken, Writer,
};

const NOW: u64 = 1_790_000_000;

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
    secret: ServerSecret,
    store: Store,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkit.db");
    let secret = ServerSecret::from_bytes([7; 32]);
    let store = Store::create(&path, &secret).unwrap();
    Place {
        _folder: folder,
        path,
        secret,
        store,
    }
}

impl Place {
    fn key(&self, project: &str, label: &str) -> StoredKey {
        let prefix: Prefix = "tk_live".parse().unwrap();
        let secret = SecretKey::generate(&prefix).unwrap();
        StoredKey::of(
            &secret,
            &self.secret,
            prefix,
            KeyPolicy::new(project.parse().unwrap()),
            label.parse().unwrap(),
            NOW,
        )
    }

    fn session(&self, project: &str, user: &str, created_at: u64) -> StoredSession {
        let token = SessionToken::generate().unwrap();
        StoredSession {
            token: self.secret.digest_token(token.expose().as_bytes()),
            id: SessionId::of(&token),
            session: SessionRecord {
                project: project.parse().unwrap(),
                user: user.parse().unwrap(),
                expires_at: Some(created_at + 60),
            },
            created_at,
            ended: false,
        }
    }

    fn token(&self, name: &str, scope: Scope) -> StoredToken {
        let secret = SecretKey::generate(&"tk_admin".parse().unwrap()).unwrap();
        StoredToken {
            id: secret.id(),
            digest: self.secret.digest_key(secret.expose().as_bytes()),
            name: name.parse().unwrap(),
            scope,
            created_at: NOW,
            expires_at: Some(NOW + 60),
            revoked_at: None,
        }
    }

    /// Makes a change as `cli:ann`.
    fn write<T>(&mut self, now: u64, change: impl FnOnce(&mut Writer<'_>) -> T) -> T {
        let mut writer = self.store.write(&Actor::cli("ann"), now).unwrap();
        let made = change(&mut writer);
        writer.commit().unwrap();
        made
    }

    fn audit(&self, query: AuditQuery<'_>) -> Vec<AuditEntry> {
        let query = AuditQuery {
            limit: 100,
            ..query
        };
        self.store.audit(&query).unwrap().entries
    }

    /// What was done to something, oldest first.
    fn history(&self, object: &str) -> Vec<(String, serde_json::Value)> {
        let query = AuditQuery {
            object: Some(object),
            ..AuditQuery::default()
        };
        let entries = self.audit(query).into_iter().rev();
        entries.map(|entry| (entry.action, entry.details)).collect()
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn every_change_is_in_the_audit_log() {
    let mut place = place();
    let mut key = place.key("shop", "a key");
    key.record.policy.hourly_limit = Some(Limit::try_from(5).unwrap());
    let id = key.record.id;
    place.write(NOW, |writer| writer.add_key(&key).unwrap());
    place.write(NOW + 1, |writer| {
        writer
            .change_key(id, None, |key| {
                key.record.policy.hourly_limit = None;
                key.label = "another".parse().unwrap();
            })
            .unwrap()
    });
    for state in [KeyState::Disabled, KeyState::Disabled, KeyState::Active] {
        let set = |key: &mut StoredKey| key.record.policy.state = state;
        place.write(NOW + 2, |writer| writer.change_key(id, None, set).unwrap());
    }
    let reason = "it leaked".parse().unwrap();
    for _ in 0..2 {
        place.write(NOW + 3, |writer| {
            writer.revoke_key(id, None, Some(&reason)).unwrap()
        });
    }
    let expected = [
        (
            "key.create",
            json!({ "project": "shop", "prefix": "tk_live", "name": "a key", "state": "active",
                "hourly_limit": 5 }),
        ),
        (
            "key.change",
            json!({ "hourly_limit": { "from": 5, "to": null },
                "name": { "from": "a key", "to": "another" } }),
        ),
        ("key.disable", json!({})),
        ("key.enable", json!({})),
        ("key.revoke", json!({ "reason": "it leaked" })),
    ];
    let expected = expected.map(|(action, details)| (action.to_owned(), details));
    assert_eq!(place.history(&id.to_string()), expected);
    let all = place.audit(AuditQuery::default());
    assert!(all.iter().all(|entry| entry.actor == "cli:ann"));
    assert_eq!((all[0].seq, all[0].at), (6, NOW + 3));
    assert_eq!(
        place.history("shop"),
        [("project.create".into(), json!({}))]
    );

    // What was dropped was not done.
    let other = place.key("shop", "");
    let mut writer = place.store.write(&Actor::system(), NOW).unwrap();
    writer.add_key(&other).unwrap();
    drop(writer);
    assert_eq!(place.history(&other.record.id.to_string()), []);
}

#[test]
fn the_audit_log_comes_by_pages() {
    let mut place = place();
    for number in 0..10 {
        let actor = if number % 2 == 0 {
            Actor::system()
        } else {
            Actor::token("0123456789".parse().unwrap())
        };
        let mut writer = place.store.write(&actor, NOW + number).unwrap();
        let details = json!({ "number": number });
        writer
            .note("address.unblock", "192.0.2.1", &details)
            .unwrap();
        writer.commit().unwrap();
    }
    let mut query = AuditQuery {
        object: Some("192.0.2.1"),
        actor: Some("system"),
        action: Some("address.unblock"),
        limit: 2,
        ..AuditQuery::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = place.store.audit(&query).unwrap();
        seen.extend(page.entries.iter().map(|entry| entry.at - NOW));
        query.before = page.next;
        if page.next.is_none() {
            break;
        }
        assert_eq!(page.entries.len(), 2);
    }
    assert_eq!(seen, [8, 6, 4, 2, 0]);
    query.action = Some("key.create");
    assert_eq!(place.store.audit(&query).unwrap().entries, []);

    let raw = rusqlite::Connection::open(&place.path).unwrap();
    raw.execute_batch("UPDATE audit SET actor = 'cli:bob' WHERE seq = 5")
        .unwrap();
    let error = place.store.audit(&AuditQuery {
        limit: 9,
        ..AuditQuery::default()
    });
    assert!(matches!(error, Err(StoreError::Damaged { .. })));
}

#[test]
fn of_two_that_change_a_key_the_second_is_told() {
    let mut place = place();
    let key = place.key("shop", "");
    let id = key.record.id;
    place.write(NOW, |writer| writer.add_key(&key).unwrap());
    let seen = place.store.key(id).unwrap().revision;
    let rename = |label: &'static str| {
        move |key: &mut StoredKey| {
            key.label = label.parse().unwrap();
        }
    };
    let now = place.write(NOW, |writer| {
        writer.change_key(id, Some(seen), rename("one")).unwrap()
    });
    assert_ne!(now.revision, seen);
    place.write(NOW, |writer| {
        let error = writer
            .change_key(id, Some(seen), rename("two"))
            .unwrap_err();
        let StoreError::Changed { object, revision } = error else {
            panic!("{error}");
        };
        assert_eq!((object, revision), (id.to_string(), now.revision));
        // Nothing is another: so is its revision not.
        let same = writer.change_key(id, Some(now.revision), rename("one"));
        assert_eq!(same.unwrap().revision, now.revision);
    });
    let found = place.store.key(id).unwrap();
    assert_eq!(
        (found.label.as_str(), found.revision),
        ("one", now.revision)
    );
}

#[test]
fn a_rotated_key_works_beside_the_new_one_for_a_while() {
    let mut place = place();
    let mut old = place.key("shop", "old");
    let new = place.key("shop", "new");
    let id = old.record.id;
    for (own, overlap_s, end) in [
        (None, 60, NOW + 60),
        (Some(NOW + 30), 60, NOW + 30),
        (Some(NOW + 30), 10, NOW + 10),
        (None, 0, NOW),
        (None, u64::MAX, i64::MAX as u64),
    ] {
        old.record.policy.expires_at = own;
        let mut writer = place.store.write(&Actor::system(), NOW).unwrap();
        writer.add_key(&old).unwrap();
        let rotated = writer.rotate_key(id, None, &new, overlap_s).unwrap();
        assert_eq!(
            rotated
                .record
                .policy
                .expires_at
                .map(|end| end.min(i64::MAX as u64)),
            Some(end)
        );
        assert_eq!(writer.key(id).unwrap().record.policy.expires_at, Some(end));
        let made = writer.key(new.record.id).unwrap();
        assert_eq!(
            (made.replaces, made.record.policy.expires_at),
            (Some(id), None)
        );
    }
    old.record.policy.expires_at = None;
    place.write(NOW, |writer| writer.add_key(&old).unwrap());
    place.write(NOW, |writer| writer.rotate_key(id, None, &new, 60).unwrap());
    assert_eq!(place.store.replaced_by(id).unwrap(), Some(new.record.id));
    assert_eq!(place.store.replaced_by(new.record.id).unwrap(), None);
    let history = place.history(&id.to_string());
    let (action, details) = history.last().unwrap();
    assert_eq!(action, "key.rotate");
    assert_eq!(details["replaced_by"], new.record.id.to_string());

    let later = place.key("shop", "");
    let mut refused = |now, id: KeyId, expected: &str| {
        let mut writer = place.store.write(&Actor::system(), now).unwrap();
        let error = writer.rotate_key(id, None, &later, 60).unwrap_err();
        assert!(
            matches!(error, StoreError::Unusable { why, .. } if why == expected),
            "{error}"
        );
    };
    refused(NOW + 60, id, "expired");
    let set = |place: &mut Place, state| {
        place.write(NOW, |writer| {
            let set = |key: &mut StoredKey| key.record.policy.state = state;
            writer.change_key(new.record.id, None, set).unwrap();
        });
    };
    set(&mut place, KeyState::Disabled);
    let mut refused = |now, id: KeyId, expected: &str| {
        let mut writer = place.store.write(&Actor::system(), now).unwrap();
        let error = writer.rotate_key(id, None, &later, 60).unwrap_err();
        assert!(
            matches!(error, StoreError::Unusable { why, .. } if why == expected),
            "{error}"
        );
    };
    refused(NOW, new.record.id, "disabled");
    refused(NOW + 60, id, "expired");
    set(&mut place, KeyState::Revoked);
    let mut writer = place.store.write(&Actor::system(), NOW).unwrap();
    let error = writer
        .rotate_key(new.record.id, None, &later, 60)
        .unwrap_err();
    assert!(matches!(error, StoreError::Unusable { why: "revoked", .. }));
    assert!(matches!(
        writer.rotate_key(later.record.id, None, &later, 60),
        Err(StoreError::NoKey(_))
    ));
}

#[test]
fn a_rotation_that_is_refused_leaves_the_old_key_as_it_was() {
    let mut place = place();
    let (old, other) = (place.key("shop", "old"), place.key("shop", "other"));
    let id = old.record.id;
    place.write(NOW, |writer| {
        writer.add_key(&old).unwrap();
        writer.add_key(&other).unwrap();
    });
    let before = place.store.key(id).unwrap().revision;
    let mut twin = place.key("shop", "twin");
    twin.record.digest = other.record.digest;
    let fresh = place.key("shop", "fresh");
    place.write(NOW, |writer| {
        for (new, expected) in [
            (&old, None),
            (&other, None),
            (&twin, None),
            (&fresh, Some(0)),
        ] {
            writer.rotate_key(id, expected, new, 0).unwrap_err();
        }
    });
    let found = place.store.key(id).unwrap();
    assert_eq!(
        (found.record.policy.expires_at, found.revision),
        (None, before)
    );
    assert_eq!(place.store.keys().unwrap(), 2);
}

#[test]
fn a_reason_stays_with_the_first_revocation() {
    let mut place = place();
    let key = place.key("shop", "");
    let id = key.record.id;
    place.write(NOW, |writer| writer.add_key(&key).unwrap());
    for (now, reason) in [(NOW + 1, "leaked"), (NOW + 2, "other")] {
        let reason = reason.parse().unwrap();
        place.write(now, |writer| {
            writer.revoke_key(id, None, Some(&reason)).unwrap()
        });
    }
    let found = place.store.key(id).unwrap();
    assert_eq!(found.revoked_at, Some(NOW + 1));
    assert_eq!(found.revoked_reason.unwrap().as_str(), "leaked");
}

#[test]
fn projects_come_with_their_keys_and_by_themselves() {
    let mut place = place();
    let (one, two) = (place.key("b", ""), place.key("a", ""));
    let session = place.session("c", "ann", NOW);
    place.write(NOW, |writer| {
        writer.add_key(&one).unwrap();
        writer.add_key(&two).unwrap();
        writer.add_session(&session).unwrap();
        let label = "Shop".parse().unwrap();
        writer.add_project(name("d"), &label).unwrap();
        assert!(matches!(
            writer.add_project(name("a"), &label),
            Err(StoreError::ProjectExists(_))
        ));
    });
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = place.store.projects(after.as_ref(), 2).unwrap();
        names.extend(page.projects.iter().map(|project| project.name.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c", "d"]);
    let before = place.store.project(&name("d")).unwrap();
    assert_eq!(before.label.as_str(), "Shop");
    let label = "Store".parse().unwrap();
    let after = place.write(NOW + 1, |writer| {
        assert!(matches!(
            writer.change_project(&name("x"), None, &label),
            Err(StoreError::NoProject(_))
        ));
        let changed = writer.change_project(&name("d"), Some(before.revision), &label);
        assert!(matches!(
            writer.change_project(&name("d"), Some(before.revision), &"".parse().unwrap()),
            Err(StoreError::Changed { .. })
        ));
        changed.unwrap()
    });
    assert_eq!(place.store.project(&name("d")).unwrap(), after);
    assert!(matches!(
        place.store.project(&name("x")),
        Err(StoreError::NoProject(_))
    ));

    place.write(NOW, |writer| {
        writer.revoke_key(one.record.id, None, None).unwrap();
    });
    let counts = place.store.key_counts(Some(&name("b"))).unwrap();
    assert_eq!((counts.active, counts.disabled, counts.revoked), (0, 0, 1));
    let counts = place.store.key_counts(None).unwrap();
    assert_eq!((counts.active, counts.disabled, counts.revoked), (1, 0, 1));
}

#[test]
fn sessions_are_listed_and_ended_by_user() {
    let mut place = place();
    let sessions: Vec<_> = (0..6)
        .map(|number| {
            let user = ["ann", "bob"][number % 2];
            let project = ["shop", "app"][number / 4];
            place.session(project, user, NOW + number as u64)
        })
        .collect();
    place.write(NOW, |writer| {
        sessions
            .iter()
            .for_each(|session| writer.add_session(session).unwrap());
    });
    let listed = |place: &Place, query: SessionQuery<'_>| {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let query = SessionQuery {
                after: after.as_ref(),
                limit: 2,
                ..query
            };
            let page = place.store.session_page(&query).unwrap();
            found.extend(page.sessions.iter().map(|session| session.created_at - NOW));
            match page.next {
                None => return found,
                next => after = next,
            }
        }
    };
    let all = SessionQuery::default();
    let ann = SessionQuery {
        user: Some(name("ann")),
        ..all
    };
    let shop = SessionQuery {
        project: Some(name("shop")),
        ..all
    };
    let both = SessionQuery {
        user: Some(name("ann")),
        ..shop
    };
    assert_eq!(listed(&place, all), [5, 4, 3, 2, 1, 0]);
    assert_eq!(listed(&place, ann), [4, 2, 0]);
    assert_eq!(listed(&place, shop), [3, 2, 1, 0]);
    assert_eq!(listed(&place, both), [2, 0]);
    let live = |now| SessionQuery {
        live_at: Some(now),
        ..all
    };
    assert_eq!(listed(&place, live(NOW + 62)), [5, 4, 3]);

    let mut follower = Follower::open(&place.path, &place.secret).unwrap();
    follower.poll(|_| Ok::<_, StoreError>(())).unwrap();
    let ended = place.write(NOW, |writer| {
        writer.end_session(&sessions[0].id).unwrap();
        (
            writer.end_sessions_of(&name("shop"), &name("ann")).unwrap(),
            writer.end_sessions_of(&name("shop"), &name("ann")).unwrap(),
        )
    });
    assert_eq!(ended, (1, 0));
    assert_eq!(listed(&place, live(NOW)), [5, 4, 3, 1]);
    let mut told = 0;
    follower
        .poll(|changes| {
            told += changes.sessions.len();
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!(told, 2);
    assert_eq!(
        place.history("ann"),
        [(
            "sessions.end".into(),
            json!({ "project": "shop", "ended": 1 })
        )]
    );
}

#[test]
fn no_more_admin_tokens_are_in_use_than_can_be_looked_at() {
    let mut place = place();
    let tokens: Vec<_> = (0..MAX_TOKENS_IN_USE)
        .map(|_| place.token("", Scope::Read))
        .collect();
    let mut more = place.token("", Scope::Read);
    place.write(NOW, |writer| {
        for token in &tokens {
            writer.add_token(token).unwrap();
        }
        let refused = writer.add_token(&more).unwrap_err();
        assert!(refused.to_string().contains("revoke"), "{refused}");
        // That it was revoked lets nobody make another within the day.
        writer.revoke_token(tokens[0].id).unwrap();
        assert!(matches!(
            writer.add_token(&more),
            Err(StoreError::TooManyTokens)
        ));
    });
    let day = NOW + 86_400;
    more.created_at = day;
    more.expires_at = None;
    // They have expired.
    place.write(day, |writer| writer.add_token(&more).unwrap());
    let raw = rusqlite::Connection::open(&place.path).unwrap();
    raw.execute_batch("UPDATE admin_tokens SET expires_at = NULL")
        .unwrap();
    let mut late = place.token("", Scope::Read);
    late.created_at = day;
    place.write(day, |writer| {
        assert!(writer.add_token(&late).is_err(), "all but one are in use");
    });
}

#[test]
fn admin_tokens_are_kept_and_revoked() {
    let mut place = place();
    assert_eq!(place.store.tokens_revision().unwrap(), 0);
    let (read, write) = (
        place.token("r", Scope::Read),
        place.token("w", Scope::Write),
    );
    place.write(NOW, |writer| {
        writer.add_token(&read).unwrap();
        writer.add_token(&write).unwrap();
        assert!(matches!(
            writer.add_token(&read),
            Err(StoreError::TokenExists(_))
        ));
    });
    let first = place.store.tokens_revision().unwrap();
    assert_eq!(first, 1);
    let unknown = place.token("", Scope::Read);
    for now in [NOW + 5, NOW + 9] {
        place.write(now, |writer| {
            let revoked = writer.revoke_token(read.id).unwrap();
            assert_eq!(revoked.revoked_at, Some(NOW + 5));
            assert!(matches!(
                writer.revoke_token(unknown.id),
                Err(StoreError::NoToken(_))
            ));
        });
    }
    assert_eq!(place.store.tokens_revision().unwrap(), 2);
    let mut tokens = place.store.tokens().unwrap();
    tokens.sort_by_key(|token| token.scope);
    let [found_read, found_write] = &tokens[..] else {
        panic!("{tokens:?}");
    };
    assert_eq!(
        (found_read.id, found_read.scope, found_read.revoked_at),
        (read.id, Scope::Read, Some(NOW + 5))
    );
    assert_eq!(
        (found_write.id, found_write.digest, found_write.scope),
        (write.id, write.digest, Scope::Write)
    );
    assert_eq!(found_write.expires_at, Some(NOW + 60));
    let history = place.history(&read.id.to_string());
    assert_eq!(history.len(), 2);

    // Nobody makes himself more than he is.
    let raw = rusqlite::Connection::open(&place.path).unwrap();
    raw.execute_batch("UPDATE admin_tokens SET revoked_at = NULL")
        .unwrap();
    assert!(matches!(
        place.store.tokens(),
        Err(StoreError::Damaged { .. })
    ));
}

#[test]
fn a_request_sent_twice_is_made_once() {
    let mut place = place();
    let token = place.token("", Scope::Write).id;
    let other = place.token("", Scope::Write).id;
    let (key, body) = ([1; 32], [2; 32]);
    let ask = |place: &mut Place, now, token, body: [u8; 32]| {
        place.write(now, |writer| writer.idempotent(token, &key, &body).unwrap())
    };
    // What is not committed is not remembered.
    let dropped = place
        .store
        .write(&Actor::system(), NOW)
        .unwrap()
        .idempotent(token, &key, &body)
        .unwrap();
    assert!(matches!(dropped, Idempotent::Fresh { .. }));
    let Idempotent::Fresh { nonce } = ask(&mut place, NOW, token, body) else {
        panic!("it is new");
    };
    let none = Idempotent::Replay {
        nonce,
        outcome: None,
    };
    assert_eq!(ask(&mut place, NOW, token, body), none);
    let outcome = json!({ "id": "0123456789" });
    place.write(NOW, |writer| {
        writer.set_outcome(token, &key, &outcome).unwrap();
    });
    let some = Idempotent::Replay {
        nonce,
        outcome: Some(outcome),
    };
    assert_eq!(ask(&mut place, NOW + 86_399, token, body), some);
    assert_eq!(ask(&mut place, NOW, token, [3; 32]), Idempotent::Mismatch);
    assert!(
        matches!(ask(&mut place, NOW, other, body), Idempotent::Fresh { nonce: n } if n != nonce)
    );
    assert!(
        matches!(ask(&mut place, NOW + 86_400, token, body), Idempotent::Fresh { nonce: n } if n != nonce)
    );
    assert!(!format!("{some:?}").contains(&format!("{:?}", &nonce[..4]).replace(['[', ']'], "")));
}

#[test]
fn what_a_secret_was_made_from_is_gone_after_a_day() {
    let mut place = place();
    let token = place.token("", Scope::Write).id;
    let asked = place.write(NOW, |writer| {
        writer.idempotent(token, &[1; 32], &[2; 32]).unwrap()
    });
    let Idempotent::Fresh { nonce } = asked else {
        panic!("it is new");
    };
    let in_the_file = |place: &Place| {
        let raw = rusqlite::Connection::open(&place.path).unwrap();
        raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        let file = std::fs::read(&place.path).unwrap();
        file.windows(32).any(|bytes| bytes == nonce)
    };
    assert_eq!(place.store.forget_requests(NOW + 86_399).unwrap(), 0);
    assert!(in_the_file(&place));
    assert_eq!(place.store.forget_requests(NOW + 86_400).unwrap(), 1);
    assert!(!in_the_file(&place));
}
