//! Tokens: told once, limited to their role and time, and nothing after they were revoked.

use std::time::Duration;

use super::{House, tenant};
use crate::engine::{Caller, NewToken, Role, Shown};

fn wanted(name: &str, role: Role, expires_in: Option<Duration>) -> NewToken {
    NewToken { name: name.to_owned(), role, expires_in }
}

fn mint(house: &mut House, by: Caller, wanted: NewToken) -> Result<String, String> {
    let minted = house.wait(|runtime| async move { runtime.mint_token(&tenant(), &by, wanted).await });
    minted.map(|(_, token)| token).map_err(|problem| problem.to_string())
}

fn caller(house: &mut House, token: &str) -> Shown {
    let token = token.to_owned();
    house.wait(|runtime| async move { runtime.caller(&token).await }).unwrap()
}

#[test]
fn a_token_lets_in_whom_it_names_until_its_time_is_over() {
    let mut house = House::new();
    let operator = Caller::operator("operator");
    let token =
        mint(&mut house, operator, wanted("ci", Role::Editor, Some(Duration::from_secs(60)))).unwrap();
    let Shown::Valid(first) = caller(&mut house, &token) else { panic!("it is valid") };
    assert_eq!((first.name.as_str(), first.role, first.tenant.clone()), ("ci", Role::Editor, Some(tenant())));
    house.pass(Duration::from_secs(59));
    assert!(matches!(caller(&mut house, &token), Shown::Valid(_)));
    house.pass(Duration::from_secs(1));
    assert!(matches!(caller(&mut house, &token), Shown::Expired(_)));
    let admits = house.wait(|runtime| async move { runtime.still_admits(&first).await });
    assert!(!admits.unwrap());
    assert!(matches!(caller(&mut house, "flowcell_unknown"), Shown::Unknown));
}

#[test]
fn nobody_mints_more_than_they_have() {
    let mut house = House::new();
    let operator = Caller::operator("operator");
    let hour = Some(Duration::from_secs(3600));
    let token = mint(&mut house, operator, wanted("ci", Role::Editor, hour)).unwrap();
    let Shown::Valid(editor) = caller(&mut house, &token) else { panic!("it is valid") };
    let refused = mint(&mut house, editor.clone(), wanted("boss", Role::Admin, None)).unwrap_err();
    assert!(refused.contains("mints tokens up to its own role"), "{refused}");
    // Without a time of its own it ends with the one that minted it.
    let second = mint(&mut house, editor, wanted("second", Role::Viewer, None)).unwrap();
    house.pass(Duration::from_secs(3600));
    assert!(matches!(caller(&mut house, &second), Shown::Expired(_)));
}

#[test]
fn a_name_is_taken_until_it_is_revoked_and_reserved_names_always_are() {
    let mut house = House::new();
    let operator = || Caller::operator("operator");
    let token = mint(&mut house, operator(), wanted("ci", Role::Viewer, None)).unwrap();
    let taken = mint(&mut house, operator(), wanted("ci", Role::Viewer, None)).unwrap_err();
    assert!(taken.contains("there is a token `ci` already"), "{taken}");
    let reserved = mint(&mut house, operator(), wanted("Operator", Role::Viewer, None)).unwrap_err();
    assert!(reserved.contains("stands for somebody else"), "{reserved}");
    let revoke = |house: &mut House| {
        house.wait(|runtime| async move { runtime.revoke_token(Some(&tenant()), "ci").await }).unwrap()
    };
    assert!(revoke(&mut house));
    assert!(!revoke(&mut house));
    assert!(matches!(caller(&mut house, &token), Shown::Unknown));
}
