//! One thread that looks after everything: two channels, a clock, and the word to stop.
//!
//! Go: `for { select { case ..: } }` over two channels, a `time.Ticker` and `ctx.Done()`; a channel that has ended is set to `nil`.

use aqueduct::channel::{self, Receiver, Sender};
use aqueduct::context::{Context, ContextError};
use aqueduct::{select, thread};
use std::error::Error;
use std::time::Duration;

const PAYMENTS: u64 = 100;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Books {
    paid_in: u64,
    paid_out: u64,
    /// Of the two sides, those that have gone home.
    gone: u32,
}

/// Keeps the books until the context is done, and says at each tick how they stand.
fn keep_books(
    context: &Context,
    mut paid_in: Receiver<u64>,
    mut paid_out: Receiver<u64>,
    reports: &Sender<Books>,
) -> (Books, ContextError) {
    let mut books = Books::default();
    let ticks = channel::tick(Duration::from_millis(5));
    loop {
        select! {
            recv(paid_in) -> amount => match amount {
                Ok(amount) => books.paid_in += amount,
                Err(_) => {
                    // An end is always ready. `never` is not: this arm is out from now on.
                    paid_in = channel::never();
                    books.gone += 1;
                }
            },
            recv(paid_out) -> amount => match amount {
                Ok(amount) => books.paid_out += amount,
                Err(_) => {
                    paid_out = channel::never();
                    books.gone += 1;
                }
            },
            recv(ticks) -> _ => {
                // Ends with the context if nobody reads it; the last arm then sees why.
                let _ = reports.send_ctx(context, books);
            },
            done(context) -> why => return (books, why),
        }
    }
}

/// A side of the counter: pays so many times, then goes home, which closes its channel.
fn pay(payments: Sender<u64>) -> u64 {
    (1..=PAYMENTS).take_while(|amount| payments.send(*amount).is_ok()).sum()
}

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::background().child();
    let (payer, paid_in) = channel::bounded(4);
    let (payee, paid_out) = channel::bounded(0); // hand to hand
    let (reports, reported) = channel::bounded(1);

    let payer = thread::spawn(move || pay(payer))?;
    let payee = thread::spawn(move || pay(payee))?;
    let keeper = thread::spawn({
        let context = context.clone();
        move || keep_books(&context, paid_in, paid_out, &reports)
    })?;

    for books in &reported {
        println!("in {:>4}, out {:>4}", books.paid_in, books.paid_out);
        if books.gone == 2 {
            context.cancel();
            break;
        }
    }

    let (books, why) = keeper.join()?;
    let (paid_in, paid_out) = (payer.join()?, payee.join()?);
    println!("closed: {why}");
    assert_eq!(books, Books { paid_in, paid_out, gone: 2 });
    assert_eq!((paid_in, paid_out), (5_050, 5_050));
    assert_eq!(why, ContextError::Canceled);
    Ok(())
}
