//! Requests per second and bytes per minute.

use super::*;

fn with_quota(quota: Quota) -> Egress {
    Egress::new(
        TenantId::default_tenant(),
        &rules("- network = \"127.0.0.1/32\""),
        &quota,
        Shared::new(vec![], None),
        [].into(),
    )
}

#[tokio::test]
async fn a_request_waits_for_its_turn_or_says_that_it_comes_too_late() {
    let server = Server::start(|_| ok("")).await;
    let egress = with_quota(Quota { requests_per_second: 20, ..Quota::default() });
    for _ in 0..20 {
        assert!(send(&egress, get(server.url("/"))).await.is_ok());
    }
    // The bucket is empty: the next comes a twentieth of a second later, and one in a hurry not at all.
    assert!(send(&egress, get(server.url("/"))).await.is_ok());
    let hurry = Instant::now();
    let error = egress.send(get(server.url("/")), SendOptions::default(), None, hurry).await.unwrap_err();
    assert_eq!((error.code, error.sent, error.retryable), (Code::RateLimited, Sent::No, true));
    assert!(error.detail.contains("requests_per_second"), "{error}");
    assert_eq!(server.seen().len(), 21);
}

#[tokio::test]
async fn bytes_of_requests_and_answers_count() {
    let server = Server::start(|_| ok(&"x".repeat(2000))).await;
    let egress = with_quota(Quota { egress_bytes_per_minute: 3000, ..Quota::default() });
    assert!(send(&egress, get(server.url("/"))).await.is_ok());
    let error = send(&egress, get(server.url("/"))).await.unwrap_err();
    assert_eq!((error.code, error.sent, error.retryable), (Code::Quota, Sent::Yes, true));
    assert!(error.detail.contains("egress_bytes_per_minute"), "{error}");
    let long = request(
        "GET",
        server.url("/"),
        &[("x", "y"), ("z", "some more bytes than come back in a moment")],
        None,
    );
    assert_eq!(fault(send(&egress, long).await), (Code::Quota, Sent::No));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_request_larger_than_the_quota_is_not_sent() {
    let server = Server::start(|_| ok("")).await;
    let egress = with_quota(Quota { egress_bytes_per_minute: 50, ..Quota::default() });
    let request = post(server.url("/"), "a body that is longer than fifty bytes, which is all there is");
    assert_eq!(fault(send(&egress, request).await), (Code::Quota, Sent::No));
    assert_eq!(server.connections(), 0);
}
