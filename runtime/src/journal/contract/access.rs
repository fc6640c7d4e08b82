//! What a store must do with secrets, tokens and the audit log.

use super::assert_conflict;
use crate::id::TenantId;
use crate::journal::samples::{at, commit};
use crate::journal::{AuditQuery, AuditRow, GRANTS, Role, Storage, TokenRow, VaultKind, VaultRow, Write};

on_every_store! {
    what_is_secret_is_kept_by_kind_and_name
    a_token_is_found_by_its_digest_until_it_is_removed
    an_audit_log_is_read_from_the_newest_and_forgets_the_oldest
}

fn what_is_secret_is_kept_by_kind_and_name(store: &dyn Storage) {
    let row = |tenant: &str, kind, name: &str, sealed: &'static [u8]| VaultRow {
        tenant: TenantId::from(tenant),
        kind,
        name: name.into(),
        sealed: sealed.into(),
        updated_at: at(1),
    };
    let rows = [
        row("acme", VaultKind::Secret, "shop", b"1"),
        row("acme", VaultKind::Secret, "zoo", b"2"),
        row("acme", VaultKind::Connection, "shop", b"3"),
        row("other", VaultKind::Secret, "shop", b"4"),
    ];
    commit(store, rows.iter().rev().cloned().map(Write::put).collect()).unwrap();
    assert_eq!(store.list::<VaultRow>().unwrap(), rows);
    let again = row("acme", VaultKind::Secret, "shop", b"5");
    commit(store, vec![Write::put(again.clone())]).unwrap();
    let remove = |tenant: &str, name: &str| {
        Write::remove::<VaultRow>((TenantId::from(tenant), VaultKind::Secret, name.into()))
    };
    commit(store, vec![remove("acme", "zoo"), remove("nobody", "shop")]).unwrap();
    assert_eq!(store.list::<VaultRow>().unwrap(), [again, rows[2].clone(), rows[3].clone()]);
}

fn a_token_is_found_by_its_digest_until_it_is_removed(store: &dyn Storage) {
    let row = |tenant: Option<&str>, name: &str, digest: u8| TokenRow {
        tenant: tenant.map(TenantId::from),
        name: name.into(),
        digest: [digest; 32],
        role: if tenant.is_none() { Role::Operator } else { Role::Viewer },
        created_at: at(1),
        created_by: "operator".into(),
        expires_at: tenant.map(|_| at(90)),
    };
    let rows = [row(Some("acme"), "ci", 1), row(Some("acme"), "desk", 2), row(None, "ci", 3)];
    commit(store, rows.iter().rev().cloned().map(Write::put).collect()).unwrap();
    assert_eq!(store.rows(TokenRow::of(Some(TenantId::from("acme")))).unwrap(), rows[..2]);
    assert_eq!(store.rows(TokenRow::of(None)).unwrap(), rows[2..]);
    assert_eq!(store.rows(TokenRow::of(Some(TenantId::from("other")))).unwrap(), []);
    assert_eq!(store.first(TokenRow::with_digest([3; 32])).unwrap().as_ref(), Some(&rows[2]));
    assert_eq!(store.first(TokenRow::with_digest([4; 32])).unwrap(), None);
    assert_conflict(commit(store, vec![Write::put(row(Some("acme"), "ci", 5))]));
    let gone = Write::remove::<TokenRow>((Some(TenantId::from("acme")), "ci".into()));
    commit(store, vec![gone]).unwrap();
    assert_eq!(store.first(TokenRow::with_digest([1; 32])).unwrap(), None);
    assert!(store.first(TokenRow::with_digest([3; 32])).unwrap().is_some());
    commit(store, vec![Write::put(row(Some("acme"), "ci", 6))]).unwrap();
}

fn an_audit_log_is_read_from_the_newest_and_forgets_the_oldest(store: &dyn Storage) {
    let acme = TenantId::from("acme");
    let row = |tenant: &str, number: i64, actor: &str| AuditRow {
        tenant: TenantId::from(tenant),
        id: format!("{number:032}"),
        at: at(number),
        actor: actor.into(),
        role: (number > 1).then_some(Role::Admin),
        origin: Some("192.0.2.1".into()),
        action: if number == 3 { "RemoveFlow" } else { "PutFlow" }.into(),
        target: "shop/in".into(),
        status: None,
        detail: None,
    };
    let put = |row: AuditRow, forget_before| row.entered(at(forget_before));
    let mut rows = [row("acme", 1, "desk"), row("acme", 2, "ci"), row("acme", 3, "ci"), row("acme", 4, "ci")];
    commit(store, rows.iter().cloned().flat_map(|row| put(row, 0)).collect()).unwrap();
    commit(store, put(row("other", 1, "ci"), 0)).unwrap();
    let end = |number: i64, status, detail: &str| {
        let key = (TenantId::from("acme"), format!("{number:032}"));
        AuditRow::ended(key, format!("shop/in:{number}"), status, Some(detail.into()))
    };
    commit(store, vec![end(2, 200, "done"), end(3, 403, "no"), end(9, 200, "nothing")]).unwrap();
    for (row, status, detail) in [(1, 200, "done"), (2, 403, "no")] {
        rows[row].target = format!("shop/in:{}", row + 1);
        (rows[row].status, rows[row].detail) = (Some(status), Some(detail.into()));
    }
    let ids = |query: AuditQuery| -> Vec<i64> {
        let page = store.audit(acme.clone(), query).unwrap();
        page.items.iter().map(|row| row.at.as_second()).collect()
    };
    let all = || AuditQuery { limit: 10, ..AuditQuery::default() };
    let page = store.audit(acme.clone(), AuditQuery { limit: 3, ..all() }).unwrap();
    assert_eq!(page.items, [rows[3].clone(), rows[2].clone(), rows[1].clone()]);
    assert_eq!(ids(AuditQuery { cursor: page.cursor, ..all() }), [1]);
    assert_eq!(ids(AuditQuery { actor: Some("ci".into()), since: Some(at(3)), ..all() }), [4, 3]);
    assert_eq!(ids(AuditQuery { action: Some("RemoveFlow".into()), ..all() }), [3]);
    assert_eq!(ids(AuditQuery { denied: true, ..all() }), [3]);
    // Its own, and some at a time; what a tenant may reach is said until it may reach something else.
    let granted =
        AuditRow { action: GRANTS.into(), id: format!("{:032}", 0), ..row("acme", 0, "configuration") };
    commit(store, put(granted, 0)).unwrap();
    commit(store, [put(row("acme", 5, "ci"), 3), put(row("acme", 6, "ci"), 3)].concat()).unwrap();
    assert_eq!(ids(all()), [6, 5, 4, 3, 0]);
    assert_eq!(store.audit(TenantId::from("other"), all()).unwrap().items.len(), 1);
}
