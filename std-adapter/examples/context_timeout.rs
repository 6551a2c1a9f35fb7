//! A request with a deadline, and everything that it has started ending with it.
//!
//! Go: `context.WithTimeout`, `ctx.Done()`, `context.Cause`, `context.AfterFunc`.

use aqueduct::channel::{self, RecvCtxError};
use aqueduct::context::{Context, ContextError};
use aqueduct::thread;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

/// What goes along with a request, found by its type.
struct RequestId(u64);

/// A query that never gets an answer. It ends because the context does, wherever it sleeps.
fn query(context: &Context) -> Result<String, ContextError> {
    let (_database, answers) = channel::bounded::<String>(1);
    match answers.recv_ctx(context) {
        Ok(answer) => Ok(answer),
        Err(RecvCtxError::Done(why)) => Err(why),
        Err(RecvCtxError::Disconnected) => unreachable!("the database is there"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let server = Context::background();

    // A request that takes too long.
    let request = server.with_timeout(Duration::from_millis(20)).with_value(RequestId(7));
    let (closed, told) = mpsc::channel();
    request.after_func(move || closed.send("connection closed").unwrap_or(()));
    let slow = thread::Builder::new().name("slow query").spawn({
        let context = request.child(); // the earlier deadline counts, this one's or the parent's
        move || query(&context)
    })?;
    let answer = slow.join()?;
    let id = request.value::<RequestId>().expect("it was given").0;
    println!("request {id}: {answer:?}, {}", told.recv()?);
    assert_eq!(answer, Err(ContextError::DeadlineExceeded));
    assert_eq!(request.err(), Some(ContextError::DeadlineExceeded));
    assert!(!server.is_done());

    // A request whose client hangs up: all that it has started ends, with the cause.
    let request = server.child();
    let parts = (0..3).map(|_| {
        let context = request.with_timeout(Duration::from_secs(60));
        thread::spawn(move || (query(&context), context.cause().map(|cause| cause.to_string())))
    });
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    request.cancel_with("the client hung up");
    for part in parts {
        let (answer, cause) = part.join()?;
        println!("part: {answer:?}, {cause:?}");
        assert_eq!(answer, Err(ContextError::Canceled));
        assert_eq!(cause.as_deref(), Some("the client hung up"));
    }

    // To another process the deadline goes along as what is left of it.
    let mut headers = BTreeMap::new();
    let call = server.with_timeout(Duration::from_secs(3600));
    call.write_headers(|name, value| drop(headers.insert(name.to_owned(), value.to_owned())));
    let there = Context::from_headers(&Context::background(), |name| {
        headers.get(name).map(String::as_str)
    })?;
    println!("headers: {headers:?}");
    assert!(there.deadline().is_some() && !there.is_done());
    Ok(())
}
