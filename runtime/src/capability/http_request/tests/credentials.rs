//! What goes along with a request that its guest has not written: to whom, in which shape, and what comes back of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::capability::http_request::message::BasicOption;
use crate::capability::vault::{Connection, Credentials, Secret, SecretDocument, Vault};
use crate::id::{CallbackAddress, CallbackKey, RunId};

const VALUE: &str = "s3cr3t & more";

/// A tenant with one secret and one connection, and what a run of it may use.
struct Holder {
    egress: Egress,
    vault: Arc<Vault>,
    credentials: Credentials,
    /// What stands for the secret.
    placeholder: String,
}

impl Holder {
    /// Both are bound to these hosts.
    fn new(hosts: &[&str], connection: Value) -> Self {
        let vault = Arc::new(Vault::default());
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let secret = SecretDocument { value: VALUE.to_owned().into(), hosts: hosts.clone() };
        vault.put_secret(Secret::new("key", secret).unwrap(), None);
        let run = CallbackAddress {
            base_url: "http://host".into(),
            key: CallbackKey::new([3; 32]),
            tenant: TenantId::default_tenant(),
            run: RunId::mint(),
        };
        let placeholder = run.placeholder("key");
        let names = |name: &str| -> Arc<[String]> { [name.to_owned()].into() };
        let credentials = Credentials::of_step(vault.clone(), names("shop"), names("key"), run);
        let holder = Self { egress: local(), vault, credentials, placeholder };
        holder.connect(connection, &hosts);
        holder
    }

    fn at_home(connection: Value) -> Self {
        Self::new(&["127.0.0.1"], connection)
    }

    fn connect(&self, mut connection: Value, hosts: &[String]) {
        connection["hosts"] = json!(hosts);
        let document = serde_json::from_value(connection).unwrap();
        self.vault.put_connection(Connection::new("shop", document).unwrap(), None);
    }

    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        self.send_with(request, SendOptions::default()).await
    }

    async fn connected(&self, request: Request) -> Result<Response, HttpError> {
        self.send_with(request, by_connection()).await
    }

    async fn send_with(&self, request: Request, options: SendOptions) -> Result<Response, HttpError> {
        self.egress.send(request, options, Some(&self.credentials), Instant::now() + PATIENCE).await
    }
}

fn by_connection() -> SendOptions {
    SendOptions { connection: Some("shop".to_owned()), ..SendOptions::default() }
}

fn bearer() -> Value {
    json!({ "bearer": { "token": "t0k3n-of-shop" } })
}

/// Tells back all that it was told.
async fn echo() -> Server {
    Server::start(|seen| {
        let told = format!("{}{}", seen.head, String::from_utf8_lossy(&seen.body));
        answer("200 OK", &format!("x-echo: {}\r\n", seen.path()), told)
    })
    .await
}

#[tokio::test]
async fn a_secret_is_filled_in_on_the_way_out_and_taken_out_on_the_way_back() {
    let (server, holder) = (echo().await, Holder::at_home(json!({})));
    let p = &holder.placeholder;
    let body = format!(r#"{{"key":"{p}"}}"#);
    let request = Request {
        method: "POST".to_owned(),
        url: server.url(&format!("/hook/{p}?k={p}")),
        headers: vec![
            ("x-key".to_owned(), format!("Key {p}")),
            ("content-type".to_owned(), "application/json".to_owned()),
        ],
        body: Some(body.clone().into()),
    };
    let url = request.url.clone();
    let response = holder.send(request).await.unwrap();
    let seen = &server.seen()[0];
    assert_eq!(seen.path(), "/hook/s3cr3t%20%26%20more?k=s3cr3t%20%26%20more");
    assert_eq!(seen.header("x-key"), Some("Key s3cr3t & more"));
    assert_eq!(seen.body, br#"{"key":"s3cr3t & more"}"#);
    let told = String::from_utf8(response.body.to_vec()).unwrap();
    assert!(told.contains("x-key: Key ***") && told.ends_with(r#"{"key":"***"}"#), "{told}");
    assert!(!told.contains("s3cr3t") && !format!("{:?}", response.headers).contains("s3cr3t"), "{told}");
    assert_eq!(response.info.url, url);
}

#[tokio::test]
async fn basic_authentication_is_encoded_after_its_secret_is_filled_in() {
    let (server, holder) = (echo().await, Holder::at_home(json!({})));
    let basic = BasicOption { username: "u".to_owned(), password: holder.placeholder.clone() };
    let options = SendOptions { basic: Some(basic), ..SendOptions::default() };
    let response = holder.send_with(get(server.url("/")), options).await.unwrap();
    assert_eq!(server.seen()[0].header("authorization"), Some("Basic dTpzM2NyM3QgJiBtb3Jl"));
    assert!(!String::from_utf8_lossy(&response.body).contains("dTpzM2NyM3QgJiBtb3Jl"));
}

#[tokio::test]
async fn what_is_bound_to_another_host_is_not_sent() {
    let server = echo().await;
    let holder = Holder::new(&["api.example.com"], bearer());
    let with_secret = request("GET", server.url("/"), &[("x-key", &holder.placeholder)], None);
    let error = holder.send(with_secret).await.unwrap_err();
    assert_eq!((error.code, error.sent), (Code::Blocked, Sent::No));
    assert_eq!(error.detail, "the secret `key` is not sent to 127.0.0.1: it is bound to api.example.com");
    let error = holder.connected(get(server.url("/"))).await.unwrap_err();
    assert_eq!((error.code, error.sent), (Code::Blocked, Sent::No));
    let expected =
        format!("the connection `shop` is not used for {}: it is bound to api.example.com", server.address);
    assert_eq!(error.detail, expected);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_policy_decides_before_a_secret_is_looked_at() {
    let server = echo().await;
    let holder = Holder { egress: egress(""), ..Holder::at_home(bearer()) };
    let p = holder.placeholder.clone();
    let error = holder.connected(get(server.url(&format!("/{p}")))).await.unwrap_err();
    assert_eq!(error.code, Code::Blocked);
    assert!(!error.detail.contains("s3cr3t"), "{error}");
    assert_eq!(server.connections(), 0);
}

/// A path that a secret changes is judged again.
#[tokio::test]
async fn a_secret_does_not_lead_around_a_rule_for_paths() {
    let holder = Holder::at_home(json!({}));
    holder.vault.put_secret(
        Secret::new("key", SecretDocument { value: "..".to_owned().into(), hosts: vec!["127.0.0.1".into()] })
            .unwrap(),
        None,
    );
    let server = echo().await;
    let rule =
        format!("- host = \"127.0.0.1\"\nports = [{}]\npaths = [\"/open/*\"]\n", server.address.port());
    let holder = Holder { egress: egress(&rule), ..holder };
    let error =
        holder.send(get(server.url(&format!("/open/{}/closed", holder.placeholder)))).await.unwrap_err();
    assert_eq!(error.code, Code::Blocked, "{error}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn nothing_secret_follows_to_another_origin() {
    let other = echo().await;
    let elsewhere = other.url("/b");
    let server = Server::start(move |_| answer("307 Go", &format!("location: {elsewhere}\r\n"), "")).await;
    let holder = Holder::at_home(bearer());
    let p = holder.placeholder.clone();
    let url = server.url("/");
    let with_header = request("GET", &url, &[("x-key", &p), ("x-open", "yes")], None);
    holder.connected(with_header).await.unwrap();
    let (first, second) = (&server.seen()[0], &other.seen()[0]);
    assert_eq!(first.header("authorization"), Some("Bearer t0k3n-of-shop"));
    assert_eq!(first.header("x-key"), Some(VALUE));
    assert_eq!((second.header("authorization"), second.header("x-key")), (None, None));
    assert_eq!(second.header("x-open"), Some("yes"));
    let body = Request { body: Some(format!("key={p}").into()), ..post(&url, "") };
    let error = holder.send(body).await.unwrap_err();
    assert_eq!(error.code, Code::Blocked);
    assert!(error.detail.contains("the body holds a secret"), "{error}");
    assert_eq!(other.seen().len(), 1);
}

#[tokio::test]
async fn a_connection_authenticates_in_its_way() {
    let server = echo().await;
    for (connection, header, expected, path) in [
        (bearer(), "authorization", Some("Bearer t0k3n-of-shop"), "/x?a=1"),
        (
            json!({ "basic": { "username": "u", "password": "p" } }),
            "authorization",
            Some("Basic dTpw"),
            "/x?a=1",
        ),
        (
            json!({ "apiKey": { "in": "header", "name": "X-Api-Key", "value": "k3y-of-shop" } }),
            "x-api-key",
            Some("k3y-of-shop"),
            "/x?a=1",
        ),
        (
            json!({ "apiKey": { "in": "query", "name": "key", "value": "k3y&of shop" } }),
            "authorization",
            None,
            "/x?a=1&key=k3y%26of%20shop",
        ),
    ] {
        let holder = Holder::at_home(connection.clone());
        let response = holder.connected(get(server.url("/x?a=1"))).await.unwrap();
        let seen = server.seen().pop().unwrap();
        assert_eq!((seen.header(header), seen.path()), (expected, path), "{connection}");
        assert_eq!(response.info.url, server.url("/x?a=1"), "{connection}");
        let told = format!("{}{:?}", String::from_utf8_lossy(&response.body), response.headers);
        for secret in ["t0k3n-of-shop", "k3y-of-shop", "k3y&of", "k3y%26of"] {
            assert!(!told.contains(secret), "{connection}: {told}");
        }
    }
}

#[tokio::test]
async fn an_edited_connection_is_used_from_the_next_request_on() {
    let (server, holder) = (echo().await, Holder::at_home(bearer()));
    holder.connected(get(server.url("/"))).await.unwrap();
    holder.connect(json!({ "bearer": { "token": "another" } }), &["127.0.0.1".to_owned()]);
    holder.connected(get(server.url("/"))).await.unwrap();
    assert_eq!(server.seen()[1].header("authorization"), Some("Bearer another"));
}

#[tokio::test]
async fn a_connection_that_cannot_be_used_says_why_and_nothing_is_sent() {
    let (server, holder) = (echo().await, Holder::at_home(json!({})));
    let named = |name: &str| SendOptions { connection: Some(name.to_owned()), ..SendOptions::default() };
    let refused = async |options| {
        let error = holder.send_with(get(server.url("/")), options).await.unwrap_err();
        assert_eq!(
            (error.code, error.sent, error.retryable),
            (Code::Credentials, Sent::No, false),
            "{error}"
        );
        error.detail
    };
    assert_eq!(
        refused(named("shop")).await,
        "the connection `shop` is empty: put credentials in with `flowcell connections set shop FILE`"
    );
    assert!(refused(named("other")).await.contains("is not named by the step"));
    holder.vault.remove_connection("shop");
    assert_eq!(
        refused(named("shop")).await,
        "there is no connection `shop`: make it with `flowcell connections set shop FILE`"
    );
    holder.connect(bearer(), &["127.0.0.1".to_owned()]);
    let twice = request("GET", server.url("/"), &[("Authorization", "x")], None);
    let error = holder.connected(twice).await.unwrap_err();
    assert_eq!(error.code, Code::InvalidRequest);
    assert_eq!(error.detail, "the connection `shop` sets the header `authorization`: leave it out");
    assert_eq!(server.connections(), 0);
}

/// Gives tokens `t0k3n-1`, `t0k3n-2` …, and remembers what it was asked.
async fn token_server(expires_in: &'static str) -> (Server, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let count = given.clone();
    let server = Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let body = format!(r#"{{"access_token":"t0k3n-{number}","token_type":"Bearer"{expires_in}}}"#);
        answer("200 OK", "content-type: application/json\r\n", body)
    })
    .await;
    (server, given)
}

fn oauth2(server: &Server, more: Value) -> Value {
    let mut oauth2 = json!({
        "tokenUrl": server.url("/token"), "clientId": "my client", "clientSecret": "pass&word",
        "scopes": ["read", "write"],
    });
    oauth2.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "oauth2": oauth2 })
}

#[tokio::test]
async fn a_token_is_fetched_once_for_all_requests_even_at_the_same_time() {
    let (tokens, given) = token_server(r#","expires_in":3600"#).await;
    let server = echo().await;
    let holder = Holder::at_home(oauth2(&tokens, json!({})));
    let all = (0..5).map(|_| holder.connected(get(server.url("/"))));
    for response in futures_util::future::join_all(all).await {
        assert!(!String::from_utf8_lossy(&response.unwrap().body).contains("t0k3n"));
    }
    assert_eq!(given.load(Ordering::SeqCst), 1);
    assert!(server.seen().iter().all(|seen| seen.header("authorization") == Some("Bearer t0k3n-1")));
    let asked = &tokens.seen()[0];
    assert_eq!(asked.line(), "POST /token HTTP/1.1");
    // `my+client:pass%26word`
    assert_eq!(asked.header("authorization"), Some("Basic bXkrY2xpZW50OnBhc3MlMjZ3b3Jk"));
    assert_eq!(asked.body, b"grant_type=client_credentials&scope=read+write");
}

#[tokio::test]
async fn a_client_may_name_itself_in_the_body() {
    let (tokens, _) = token_server("").await;
    let server = echo().await;
    let more = json!({ "clientAuthentication": "body", "audience": "https://api.example.com" });
    let holder = Holder::at_home(oauth2(&tokens, more));
    holder.connected(get(server.url("/"))).await.unwrap();
    let asked = &tokens.seen()[0];
    assert_eq!(asked.header("authorization"), None);
    let expected = "grant_type=client_credentials&scope=read+write&audience=https%3A%2F%2Fapi.example.com\
                    &client_id=my+client&client_secret=pass%26word";
    assert_eq!(String::from_utf8_lossy(&asked.body), expected);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_request_sent_again() {
    let (tokens, given) = token_server(r#","expires_in":3600"#).await;
    let server = Server::start(|seen| match seen.header("authorization") {
        Some("Bearer t0k3n-2") => ok("in"),
        _ => answer("401 Unauthorized", "", "no"),
    })
    .await;
    let holder = Holder::at_home(oauth2(&tokens, json!({})));
    let response = holder.connected(post(server.url("/"), "body")).await.unwrap();
    assert_eq!((response.status, &response.body[..], given.load(Ordering::SeqCst)), (200, &b"in"[..], 2));
    assert_eq!(server.seen().len(), 2);
    // The third is refused too, and that is the answer.
    let never = Server::start(|_| answer("401 Unauthorized", "", "no")).await;
    let response = holder.connected(get(never.url("/"))).await.unwrap();
    assert_eq!((response.status, never.seen().len(), given.load(Ordering::SeqCst)), (401, 2, 3));
}

#[tokio::test]
async fn a_token_that_is_over_is_not_used() {
    let (tokens, given) = token_server(r#","expires_in":0"#).await;
    let (server, holder) = (echo().await, Holder::at_home(oauth2(&tokens, json!({}))));
    for _ in 0..2 {
        holder.connected(get(server.url("/"))).await.unwrap();
    }
    assert_eq!(given.load(Ordering::SeqCst), 2);
    assert_eq!(server.seen()[1].header("authorization"), Some("Bearer t0k3n-2"));
}

#[tokio::test]
async fn a_token_server_that_refuses_is_named_and_nothing_is_sent() {
    let tokens = Server::start(|_| {
        answer("401 Unauthorized", "", r#"{"error":"invalid_client","error_description":"unknown"}"#)
    })
    .await;
    let (server, holder) = (echo().await, Holder::at_home(oauth2(&tokens, json!({}))));
    let error = holder.connected(post(server.url("/"), "x")).await.unwrap_err();
    assert_eq!((error.code, error.sent, error.retryable), (Code::Credentials, Sent::No, false));
    let expected = format!(
        "the token of the connection `shop`: {} answered 401: invalid_client (unknown)",
        tokens.address
    );
    assert_eq!(error.detail, expected);
    let elsewhere = json!({ "oauth2": {
        "tokenUrl": "http://192.168.7.7/token", "clientId": "c", "clientSecret": "s",
    } });
    holder.connect(elsewhere, &["127.0.0.1".to_owned()]);
    let error = holder.connected(get(server.url("/"))).await.unwrap_err();
    assert_eq!((error.code, error.sent), (Code::Blocked, Sent::No), "{error}");
    assert_eq!(server.connections(), 0);
}

/// Wants a digest of this algorithm, and checks it as RFC 7616 has it, with a library of its own nowhere in sight.
async fn digest_server(algorithm: &'static str, hash: fn(&str) -> String) -> Server {
    let nonces = Mutex::new(Vec::new());
    Server::start(move |seen| {
        let challenge = |nonce: &str| {
            let header = format!(
                "www-authenticate: Basic realm=\"shop\"\r\nwww-authenticate: Digest realm=\"shop\", qop=\"auth\", \
                 algorithm={algorithm}, nonce=\"{nonce}\", opaque=\"o\"\r\n"
            );
            answer("401 Unauthorized", &header, "")
        };
        let Some(given) = seen.header("authorization").and_then(|header| header.strip_prefix("Digest ")) else {
            return challenge("n1");
        };
        let part = |name: &str| {
            let from = given.find(&format!("{name}=")).map(|at| at + name.len() + 1).unwrap();
            given[from..].trim_start_matches('"').split(['"', ',']).next().unwrap().to_owned()
        };
        let mut a1 = hash("u:shop:p");
        if algorithm.ends_with("-sess") {
            a1 = hash(&format!("{a1}:{}:{}", part("nonce"), part("cnonce")));
        }
        let (method, path) = (seen.line().split(' ').next().unwrap(), seen.path());
        let a2 = hash(&format!("{method}:{path}"));
        let middle = format!("{}:{}:{}:auth", part("nonce"), part("nc"), part("cnonce"));
        let right = hash(&format!("{a1}:{middle}:{a2}")) == part("response") && part("uri") == path;
        let mut nonces = nonces.lock().unwrap();
        let fresh = !nonces.contains(&(part("nonce"), part("nc")));
        nonces.push((part("nonce"), part("nc")));
        if right && fresh { ok("in") } else { challenge("n2") }
    })
    .await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(text: &str) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
}

fn md5(text: &str) -> String {
    use md5::Digest as _;
    hex(&md5::Md5::digest(text.as_bytes()))
}

#[tokio::test]
async fn a_digest_is_made_of_every_algorithm_and_its_nonce_is_used_again() {
    type Hash = fn(&str) -> String;
    let algorithms: [(&str, Hash); 4] =
        [("MD5", md5), ("SHA-256", sha256), ("MD5-sess", md5), ("SHA-256-sess", sha256)];
    for (algorithm, hash) in algorithms {
        let server = digest_server(algorithm, hash).await;
        let holder = Holder::at_home(json!({ "digest": { "username": "u", "password": "p" } }));
        for _ in 0..2 {
            let response = holder.connected(post(server.url("/x?y=1"), "body")).await.unwrap();
            assert_eq!(response.body, "in", "{algorithm}");
        }
        // Refused once, for what only the refusal tells.
        assert_eq!(server.seen().len(), 3, "{algorithm}");
        assert_eq!(server.seen()[2].body, b"body");
    }
}

#[tokio::test]
async fn a_wrong_password_is_answered_with_the_refusal() {
    let server = digest_server("SHA-256", sha256).await;
    let holder = Holder::at_home(json!({ "digest": { "username": "u", "password": "wrong" } }));
    let response = holder.connected(get(server.url("/"))).await.unwrap();
    assert_eq!((response.status, server.seen().len()), (401, 2));
}
