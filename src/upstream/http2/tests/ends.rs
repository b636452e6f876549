//! How streams and connections end, and which requests come back.

use super::*;

#[tokio::test]
async fn whoever_goes_away_cancels_the_stream() {
    let (channel, mut peer, _) = pair(10).await;
    // Before the head.
    let (_body, piped_body) = piped();
    let sending = tokio::spawn(send(&channel, request(Method::POST, piped_body)));
    let (mut request_seen, _respond) = peer.next().await;
    sending.abort();
    assert_eq!(read(request_seen.body_mut()).await, Err(Some(Code::CANCEL)));
    // After it, with a body still under way.
    let (body, piped_body) = piped();
    let sending = tokio::spawn(send(&channel, request(Method::POST, piped_body)));
    let (mut request_seen, mut respond) = peer.next().await;
    let _stream = respond.send_response(ok(), false).expect("open");
    drop(answered(soon(sending).await.expect("no panic")).await);
    assert_eq!(read(request_seen.body_mut()).await, Err(Some(Code::CANCEL)));
    soon(body.closed()).await;
    assert_eq!(channel.load(), 0);
}

#[tokio::test]
async fn a_reset_half_way_is_no_end() {
    for reason in [Code::NO_ERROR, Code::CANCEL, Code::INTERNAL_ERROR] {
        let (channel, mut peer, _) = pair(10).await;
        let sending = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
        let (_, mut respond) = peer.next().await;
        let mut stream = respond.send_response(ok(), false).expect("open");
        stream.send_data("half".into(), false).expect("open");
        let mut answer = answered(soon(sending).await.expect("no panic")).await;
        assert_eq!(piece(&mut answer).await, "half");
        stream.send_reset(reason);
        let cause = next(&mut answer).await.expect("no end").expect_err("reset");
        assert_eq!(cause.reason(), Word::UpstreamReset);
        assert!(!answer.is_end());
    }
}

#[tokio::test]
async fn what_was_not_sent_or_not_acted_on_comes_back() {
    // Refused by its code: only what is idempotent and has no body.
    for (method, body, again) in [
        (Method::GET, Body::empty(), true),
        (Method::POST, Body::empty(), false),
        (Method::PUT, Body::full("x"), false),
    ] {
        let (channel, mut peer, _) = pair(10).await;
        let sending = tokio::spawn(send(&channel, request(method, body)));
        let (_, mut respond) = peer.next().await;
        respond.send_reset(Code::REFUSED_STREAM);
        let failed = soon(sending).await.expect("no panic").expect_err("refused");
        assert_eq!((failed.again.is_some(), failed.unsent), (again, false));
        assert_eq!(failed.cause.reason(), Word::UpstreamReset);
    }
    // Any other code may mean that it was.
    let (channel, mut peer, _) = pair(10).await;
    let sending = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    peer.next().await.1.send_reset(Code::CANCEL);
    assert!(soon(sending).await.expect("no panic").expect_err("reset").again.is_none());
}

#[tokio::test]
async fn beyond_the_limit_of_the_peer_requests_wait() {
    let (channel, mut peer, _) = pair(1).await;
    let first = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    let (_, mut respond) = peer.next().await;
    let second = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(peer.asked.try_recv().is_err(), "the second has to wait");
    respond.send_response(ok(), true).expect("open");
    drop(answered(soon(first).await.expect("no panic")).await);
    let (_, _respond) = peer.next().await;
    // More, then the connection is gone.
    let third = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    let fourth = tokio::spawn(send(&channel, request(Method::POST, Body::full("x"))));
    tokio::time::sleep(Duration::from_millis(20)).await;
    peer.task.abort();
    let failed = soon(third).await.expect("no panic").expect_err("gone");
    assert!(failed.unsent);
    assert_eq!(failed.again.expect("the request").headers()["x-a"], "b");
    // h2 had these: nobody can say that they were not sent a moment before.
    for sent in [second, fourth] {
        let failed = soon(sent).await.expect("no panic").expect_err("gone");
        assert!(failed.again.is_none());
    }
}

#[tokio::test]
async fn a_farewell_does_not_repeat_what_may_still_be_opened() {
    let (channel, mut peer, _) = pair(1).await;
    let first = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    let (_, mut respond) = peer.next().await;
    let second = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    tokio::time::sleep(Duration::from_millis(20)).await;
    peer.stop.take().expect("once").send(()).expect("it runs");
    wait_for(|| channel.lease().is_none()).await;
    respond.send_response(ok(), true).expect("open");
    drop(answered(soon(first).await.expect("no panic")).await);
    // Either the peer takes it in time, or it says that it has not.
    let answering = async {
        if let Some((_, mut respond)) = peer.asked.recv().await {
            respond.send_response(ok(), true).expect("open");
        }
    };
    let (result, ()) = soon(async { tokio::join!(second, answering) }).await;
    let result = result.expect("no panic");
    assert!(result.is_ok() || result.is_err_and(|failed| failed.again.is_some()));
}

#[tokio::test]
async fn a_connection_that_ends_takes_nothing_more_and_gives_up_its_permit() {
    let (channel, mut peer, permits) = pair(10).await;
    let sending = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    let (_, mut respond) = peer.next().await;
    // A place taken before the farewell came.
    let lease = channel.lease().expect("open");
    peer.stop.take().expect("once").send(()).expect("it runs");
    wait_for(|| channel.lease().is_none()).await;
    assert!(channel.is_closed());
    let interim = Interim::new(Arc::new(Exchange::new(head())));
    let failed = lease.send(request(Method::POST, Body::full("x")), interim).expect_err("closed");
    assert!(failed.unsent && !failed.again.expect("the request").body().is_empty());
    // What is under way ends well.
    respond.send_response(ok(), true).expect("open");
    drop(answered(soon(sending).await.expect("no panic")).await);
    wait_for(|| permits.available_permits() == 1).await;
}

#[tokio::test]
async fn a_connection_nobody_holds_closes() {
    let (channel, mut peer, permits) = pair(10).await;
    let sending = tokio::spawn(send(&channel, request(Method::GET, Body::empty())));
    drop(channel);
    let (_, mut respond) = peer.next().await;
    respond.send_response(ok(), true).expect("open");
    drop(answered(soon(sending).await.expect("no panic")).await);
    wait_for(|| permits.available_permits() == 1).await;
    soon(peer.task).await.expect("no panic");
}
