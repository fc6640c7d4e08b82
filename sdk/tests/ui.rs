//! What the compiler says to authors who get an attribute wrong: tests/ui holds one mistake per file, and the words.
//! `TRYBUILD=overwrite cargo test -p flowcell-sdk --test ui` writes them anew; read them before they are committed.

#[test]
fn mistakes_are_explained_in_the_authors_words() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
