//! Starting a host: what is wrong with a configuration, a port, a folder or a journal stops the start in one sentence.

use std::sync::Arc;

use flowcell_tests::{Call, Setup, until, within};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::FLOWCELL;
use crate::documents::{flow, hook, together};

fn setup() -> Setup {
    let documents = together(&[&flow("one", "- one: { set: { a: 1 } }"), &hook("in", "one", "{}")]);
    FLOWCELL.serve().file("one.yaml", documents)
}

#[tokio::test]
async fn a_wrong_configuration_stops_the_start_with_key_and_place() {
    let table: [(&str, &[&str]); 12] = [
        ("lisen = \"127.0.0.1:80\"\n", &["flowcell.toml:1:1: ", "`lisen`", "`listen`"]),
        (
            "[[tenant]]\nname = \"default\"\n[tenant.quota]\nmemroy = \"64MiB\"\n",
            &["flowcell.toml:4:1: ", "`memroy`", "`memory`"],
        ),
        (
            "[[tenant]]\nname = \"a\"\n[[tenant.allow]]\nhots = \"x\"\n",
            &["flowcell.toml:4:1: ", "`hots`", "`host`"],
        ),
        (
            "[[tenant]]\nname = \"a\"\n[[tenant.allow]]\nnetwork = \"192.168.1.0/99\"\n",
            &["flowcell.toml:4:", "192.168.1.0/99"],
        ),
        (
            "[[tenant]]\nname = \"a\"\n[[tenant.allow]]\nhost = \"https://x.example/v1\"\n",
            &["flowcell.toml:4:", "scheme"],
        ),
        (
            "[[tenant]]\nname = \"a\"\n[[tenant.allow]]\nhost = \"x.example\"\nmethods = [\"FETCH\"]\n",
            &["flowcell.toml:5:", "FETCH"],
        ),
        ("[[tenant]]\nname = \"a\"\n[tenant.quota]\nmemory = \"lots\"\n", &["flowcell.toml:4:", "lots"]),
        ("[[tenant]]\nname = \"a\"\n[tenant.quota]\ncpu = \"0ms\"\n", &["flowcell.toml:4:", "`cpu`"]),
        ("[[tenant]]\nname = \"a\"\n[[tenant]]\nname = \"a\"\n", &["flowcell.toml:", "`a`"]),
        ("public_url = \"hooks.example.com\"\n", &["flowcell.toml:1:", "public_url"]),
        ("listen = 8080\n", &["flowcell.toml:1:", "listen"]),
        ("listen = \"127.0.0.1\n", &["flowcell.toml:1:"]),
    ];
    for (config, words) in table {
        let output = setup().config(config).refused().await;
        assert_eq!(output.stdout, "", "{config}{output}");
        output.says(words);
    }
}

#[tokio::test]
async fn a_configuration_that_is_not_there_is_named() {
    setup().arg("--config").arg("absent.toml").refused().await.says(&["absent.toml"]);
}

#[tokio::test]
async fn every_command_refuses_a_wrong_configuration() {
    let folder = flowcell_tests::Folder::new();
    folder.write("flow.yaml", flow("one", "- one: { set: { a: 1 } }"));
    folder.write("wrong.toml", "lisen = \"\"\n");
    let run = FLOWCELL.command(["run", "flow.yaml", "--config", "wrong.toml"]).in_folder(folder.path());
    run.output().await.exited(2).says(&["wrong.toml:1:1: ", "`listen`"]);
}

#[tokio::test]
async fn wrong_documents_stop_the_start_with_their_places() {
    let wrong = FLOWCELL
        .serve()
        .file("a.yaml", flow("a", "- one: { st: { a: 1 } }"))
        .file("b.yaml", flow("b", "- one: { set: { a: 1 }, then: nowhere }"));
    wrong.refused().await.says(&["a.yaml:4:", "`set`", "b.yaml:4:", "`nowhere`"]);
}

#[tokio::test]
async fn a_busy_port_says_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    setup().listen(Some(&address)).refused().await.says(&[&address, "in use", "--listen"]);
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_is_named() {
    let folder = flowcell_tests::Folder::new();
    let file = folder.write("file", "");
    folder.write("flows/one.yaml", flow("one", "- one: { set: { a: 1 } }"));
    let command =
        FLOWCELL.command(["serve", "flows", "--listen", "127.0.0.1:0", "--data"]).arg(file.join("data"));
    let output = command.in_folder(folder.path()).output().await.exited(2);
    output.says(&[&file.join("data").display().to_string(), "--data"]);
}

#[tokio::test]
async fn a_tenant_that_the_configuration_lacks_is_refused_by_every_command() {
    let folder = flowcell_tests::Folder::new();
    folder.write("c.toml", "[[tenant]]\nname = \"other\"\n");
    folder.write("flows/one.yaml", flow("one", "- one: { set: { a: 1 } }"));
    for command in [
        ["serve", "flows", "--listen=127.0.0.1:0", "--data=data", "--config=c.toml"].as_slice(),
        &["dev", "flows", "--listen=127.0.0.1:0", "--data=data", "--config=c.toml"],
        &["check", "flows", "--config=c.toml"],
        &["run", "flows/one.yaml", "--config=c.toml"],
    ] {
        let output = FLOWCELL.command(command.iter().copied()).in_folder(folder.path()).output().await;
        output.exited(2).says(&["`default` is not configured", "`other`", "[[tenant]]"]);
    }
}

#[tokio::test]
async fn a_data_folder_in_use_is_refused_and_its_host_goes_on() {
    let first = setup().start().await;
    let second = first.setup().refused().await;
    second.says(&["another flowcell", "data folder", "--data"]);
    first.get("/readyz").await.is(200);
}

#[tokio::test]
async fn a_corrupt_journal_is_named_and_left_as_it_is() {
    let setup = setup().start().await.kill9().await;
    let journal = setup.data().join("journal.db");
    for beside in ["journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(setup.data().join(beside));
    }
    let garbage = b"this was a database once".repeat(1000);
    std::fs::write(&journal, &garbage).unwrap();
    setup.refused().await.says(&["journal.db"]);
    assert_eq!(std::fs::read(&journal).unwrap(), garbage);
}

#[tokio::test]
async fn the_journal_may_be_elsewhere() {
    let folder = flowcell_tests::Folder::new();
    let journal = folder.at("elsewhere.db");
    let server = setup().config(format!("journal = \"sqlite:{}\"\n", journal.display())).start().await;
    server.run("shop/one", &json!({})).await;
    assert!(journal.exists());
    assert!(!server.setup().data().join("journal.db").exists());
}

#[tokio::test]
async fn the_address_comes_from_the_configuration_unless_the_argument_says_otherwise() {
    let server = setup().config("listen = \"127.0.0.2:0\"\n").listen(None).start().await;
    assert!(server.url().starts_with("http://127.0.0.2:"), "{}", server.url());
    let server = setup().config("listen = \"127.0.0.2:0\"\n").listen(Some("127.0.0.3:0")).start().await;
    assert!(server.url().starts_with("http://127.0.0.3:"), "{}", server.url());
}

#[tokio::test]
async fn a_public_url_is_what_hook_addresses_begin_with() {
    let mut server = setup().config("public_url = \"https://hooks.example.com/base\"\n").start().await;
    let hook = server.hook("shop/in").await;
    let token =
        hook.strip_prefix("https://hooks.example.com/base/hooks/").unwrap_or_else(|| panic!("{hook}"));
    Call::post(format!("{}/hooks/{token}", server.url()), &json!({})).send().await.is(200);
    let listed = server.get("/api/v1/triggers").await.is(200).json();
    assert_eq!(listed["items"][0]["url"], hook);
}

#[tokio::test]
async fn the_operators_token_is_for_its_owner_only_and_its_path_is_printed() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = setup().start().await;
    let file = server.setup().data().join("operator.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(server.token().is_some_and(|token| token.len() >= 22));
    until("the token's path", async || server.printed().contains("operator.token").then_some(())).await;
    assert!(!server.printed().contains(server.token().unwrap()), "the token itself was printed");
}

#[tokio::test]
async fn a_certificate_makes_it_https() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let setup = setup().config("[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n");
    setup.folder().write("cert.pem", cert.pem());
    setup.folder().write("key.pem", signing_key.serialize_pem());
    let mut server = setup.start().await;
    assert!(server.url().starts_with("https://"), "{}", server.url());
    let hook = server.hook("shop/in").await;
    assert!(hook.starts_with("https://"), "{hook}");

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let address = server.url().trim_start_matches("https://").to_owned();
    let answer = within("an answer over TLS", async {
        let tcp = TcpStream::connect(&address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = TlsConnector::from(Arc::new(client)).connect(name, tcp).await.unwrap();
        Call::post(&hook, &json!({})).send_over(tls).await.unwrap()
    })
    .await;
    assert_eq!(answer.is(200).text(), "ok");
}

/// A hello of TLS 1.`minor - 1` with what a server asks for: a cipher suite, groups and algorithms of signatures.
fn hello(minor: u8) -> Vec<u8> {
    const EXTENSIONS: [u8; 26] = [
        0, 10, 0, 6, 0, 4, 0, 0x1d, 0, 0x17, // groups: x25519, P-256
        0, 11, 0, 2, 1, 0, // points: uncompressed
        0, 13, 0, 6, 0, 4, 4, 3, 8, 4, // signatures: ECDSA and RSA-PSS with SHA-256
    ];
    let suites = [0, 2, 0xc0, 0x2b];
    let hello =
        [&[3, minor][..], &[7; 32], &[0], &suites, &[1, 0], &[0, EXTENSIONS.len() as u8], &EXTENSIONS]
            .concat();
    let message = [&[1, 0, 0, hello.len() as u8][..], &hello].concat();
    [&[22, 3, 1, 0, message.len() as u8][..], &message].concat()
}

/// A hello of TLS 1.1 (RFC 4346, section 7.4.1.2) gets the alert `protocol_version` (70); a callback without TLS no answer.
#[tokio::test]
async fn where_there_is_a_certificate_an_old_handshake_and_plain_http_are_refused() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let setup = setup().config("[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n");
    setup.folder().write("cert.pem", cert.pem());
    setup.folder().write("key.pem", signing_key.serialize_pem());
    let server = setup.start().await;
    let address = server.url().trim_start_matches("https://").to_owned();
    let said = async |sent: Vec<u8>| {
        within("the end of the connection", async {
            let mut tcp = TcpStream::connect(&address).await.unwrap();
            tcp.write_all(&sent).await.unwrap();
            // One record says it; a reset is an end as well.
            let mut answer = vec![0; 7];
            let read = tcp.read_exact(&mut answer).await.is_ok();
            if read { answer } else { vec![] }
        })
        .await
    };
    let (new, old) = (said(hello(3)).await, said(hello(2)).await);
    assert_eq!(new.first(), Some(&22), "TLS 1.2 gets a hello: {new:?}");
    assert_eq!((old.first(), old.last()), (Some(&21), Some(&70)), "{old:?}");
    let plain = said(b"POST /callbacks/AAAA HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()).await;
    assert!(!plain.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&plain));
}

#[tokio::test]
async fn a_certificate_that_is_not_there_is_named() {
    let output = setup().config("[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n").refused().await;
    output.says(&["tls.cert", "cert.pem"]);
}
