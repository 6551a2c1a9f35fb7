//! The macros. They only parse: each arm becomes a variable with its type, and [`select`](super::internal::select) gets all of
//! them.

/// Waits for several channels and contexts at once, and completes one arm.
///
/// | arm | goes on when | gives |
/// |---|---|---|
/// | `recv(receiver) -> result => body` | there is a value, or the channel is closed and empty | `Result<T, RecvError>` |
/// | `send(sender, value) -> result => body` | there is room (or a receiver), or the channel is closed | `Result<(), SendError<T>>` |
/// | `done(context) => body`, `done(context) -> error => body` | the context is done | [`ContextError`](crate::context::ContextError) |
/// | `default => body` | no other arm goes on now | |
/// | `default(timeout) => body` | no other arm went on for so long | |
///
/// Any number of arms in any order, `default` once at the most. If several can go on, one of them is chosen at random, each with the
/// same chance; [`select_biased!`](crate::select_biased) chooses the first. `receiver`, `sender` and `context` are values or references, and
/// evaluated once, before anything else; `value` is evaluated when its arm has been chosen. A body may `return`, `break`, `continue` or
/// use `?`, and use what the arms borrowed. The selection has the value of the body.
///
/// Exactly one arm happens: nothing is received or sent by another, and a wake-up that was meant for one that was not chosen goes
/// to the next who waits there.
///
/// At a channel without room, a `recv` arm that meets the `send` arm of another selection waits while that makes its `value`,
/// without a limit, also if there is a `default`; as in crossbeam. Let it be made quickly, or before.
///
/// It blocks the thread. In async code, wait for [`recv_async`](crate::channel::Receiver::recv_async),
/// [`send_async`](crate::channel::Sender::send_async), [`reserve_async`](crate::channel::Sender::reserve_async) and
/// [`done`](crate::Context::done) with the selection of your runtime: they may be dropped at any time, and nothing is lost.
///
/// # Examples
///
/// ```
/// use aqueduct::{Context, channel, select, thread};
/// use std::time::Duration;
///
/// let context = Context::background();
/// let (numbers, doubled) = (channel::bounded(1), channel::bounded(1));
/// let worker = thread::spawn({
///     let (context, input, output) = (context.clone(), numbers.1, doubled.0);
///     move || loop {
///         let number: u32 = select! {
///             recv(input) -> number => number.unwrap(),
///             done(context) => return "told to stop",
///         };
///         select! {
///             send(output, 2 * number) -> sent => sent.unwrap(),
///             default(Duration::from_secs(60)) => return "nobody takes it",
///         }
///     }
/// })?;
/// numbers.0.send(21).unwrap();
/// assert_eq!(doubled.1.recv(), Ok(42));
/// context.cancel();
/// assert_eq!(worker.join().unwrap(), "told to stop");
/// # Ok::<(), thread::SpawnError>(())
/// ```
#[macro_export]
macro_rules! select {
    ($($arms:tt)*) => {
        $crate::__aqueduct_select!(@start false $($arms)*)
    };
}

/// As [`select!`](crate::select), and if several arms can go on, the first of them is chosen.
///
/// # Examples
///
/// ```
/// use aqueduct::{channel, select_biased};
///
/// let (urgent, usual) = (channel::bounded(1), channel::bounded(1));
/// urgent.0.send("fire").unwrap();
/// usual.0.send("post").unwrap();
/// let first = select_biased! {
///     recv(urgent.1) -> what => what,
///     recv(usual.1) -> what => what,
/// };
/// assert_eq!(first, Ok("fire"));
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($arms:tt)*) => {
        $crate::__aqueduct_select!(@start true $($arms)*)
    };
}

/// `@next` takes one arm off and normalises it, `@arm` makes its variable, and at the end `@choose` writes the bodies. What has been
/// taken off is a list of `[kind index variable ..]`; each variable has the hygiene of the step that made it.
#[doc(hidden)]
#[macro_export]
macro_rules! __aqueduct_select {
    (@start $biased:tt) => {
        ::core::compile_error!("a selection without arms would wait for ever")
    };
    (@start $biased:tt $($arms:tt)+) => {
        $crate::__aqueduct_select!(@next $biased 0 () (none) $($arms)+)
    };

    (@next $biased:tt $index:tt ($([$kind:ident $nth:tt $arm:ident $($how:tt)*])*) $default:tt) => {{
        let chosen = $crate::channel::internal::select(
            &mut [$(($nth, &mut $arm as &mut dyn $crate::channel::internal::Arm)),*],
            $biased,
            $crate::__aqueduct_select!(@limit $default),
        );
        $crate::__aqueduct_select!(
            @choose chosen ($($arm)*) ($([$kind $nth $arm $($how)*])*) $default
        )
    }};
    // A body that is a block needs no comma after it.
    (@next $biased:tt $index:tt $done:tt $default:tt
        $kind:ident $(($($args:tt)*))? $(-> $result:pat)? => $body:block, $($rest:tt)*) => {
        $crate::__aqueduct_select!(
            @arm $biased $index $done $default ($kind $(($($args)*))? $(-> $result)? => $body) $($rest)*
        )
    };
    (@next $biased:tt $index:tt $done:tt $default:tt
        $kind:ident $(($($args:tt)*))? $(-> $result:pat)? => $body:block $($rest:tt)*) => {
        $crate::__aqueduct_select!(
            @arm $biased $index $done $default ($kind $(($($args)*))? $(-> $result)? => $body) $($rest)*
        )
    };
    (@next $biased:tt $index:tt $done:tt $default:tt
        $kind:ident $(($($args:tt)*))? $(-> $result:pat)? => $body:expr, $($rest:tt)*) => {
        $crate::__aqueduct_select!(
            @arm $biased $index $done $default ($kind $(($($args)*))? $(-> $result)? => $body) $($rest)*
        )
    };
    (@next $biased:tt $index:tt $done:tt $default:tt
        $kind:ident $(($($args:tt)*))? $(-> $result:pat)? => $body:expr) => {
        $crate::__aqueduct_select!(
            @arm $biased $index $done $default ($kind $(($($args)*))? $(-> $result)? => $body)
        )
    };
    (@next $biased:tt $index:tt $done:tt $default:tt $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "not an arm of a selection: `", ::core::stringify!($($rest)*), "`"
        ))
    };

    // `match` keeps what the expression makes until the selection is over.
    (@arm $biased:tt $index:tt ($($done:tt)*) $default:tt
        (recv ($receiver:expr $(,)?) -> $result:pat => $body:expr) $($rest:tt)*) => {
        match $receiver {
            ref receiver => {
                let mut arm = $crate::channel::internal::RecvArm::new(receiver);
                $crate::__aqueduct_select!(
                    @next $biased ($index + 1) ($($done)* [recv $index arm $result => $body]) $default $($rest)*
                )
            }
        }
    };
    (@arm $biased:tt $index:tt ($($done:tt)*) $default:tt
        (send ($sender:expr, $value:expr $(,)?) -> $result:pat => $body:expr) $($rest:tt)*) => {
        match $sender {
            ref sender => {
                let mut arm = $crate::channel::internal::SendArm::new(sender);
                $crate::__aqueduct_select!(
                    @next $biased ($index + 1) ($($done)* [send $index arm $result => $body, $value]) $default $($rest)*
                )
            }
        }
    };
    (@arm $biased:tt $index:tt ($($done:tt)*) $default:tt
        (done ($context:expr $(,)?) $(-> $error:pat)? => $body:expr) $($rest:tt)*) => {
        match $context {
            ref context => {
                let mut arm = $crate::channel::internal::DoneArm::new(context);
                $crate::__aqueduct_select!(
                    @next $biased ($index + 1) ($($done)* [done $index arm $($error)? => $body]) $default $($rest)*
                )
            }
        }
    };
    (@arm $biased:tt $index:tt $done:tt (none) (default $(())? => $body:expr) $($rest:tt)*) => {
        $crate::__aqueduct_select!(@next $biased $index $done (now $body) $($rest)*)
    };
    (@arm $biased:tt $index:tt $done:tt (none) (default ($timeout:expr $(,)?) => $body:expr) $($rest:tt)*) => {{
        let timeout = $timeout;
        $crate::__aqueduct_select!(@next $biased $index $done (after timeout $body) $($rest)*)
    }};
    (@arm $biased:tt $index:tt $done:tt $default:tt (default $($how:tt)*) $($rest:tt)*) => {
        ::core::compile_error!("a selection has one `default` at the most")
    };
    (@arm $biased:tt $index:tt $done:tt $default:tt ($($arm:tt)*) $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "not an arm of a selection: `", ::core::stringify!($($arm)*), "`"
        ))
    };

    (@limit (none)) => {
        $crate::channel::internal::Limit::None
    };
    (@limit (now $body:expr)) => {
        $crate::channel::internal::Limit::Now
    };
    (@limit (after $timeout:ident $body:expr)) => {
        $crate::channel::internal::Limit::After($timeout)
    };

    // All arms go before the body, which may use what they borrowed.
    (@choose $chosen:ident ($($arm:ident)*)
        ([recv $nth:tt $winner:ident $result:pat => $body:expr] $($more:tt)*) $default:tt) => {
        if $chosen == ::core::option::Option::Some($nth) {
            let result = $winner.take();
            $(::core::mem::drop($arm);)*
            match result {
                $result => $body,
            }
        } else {
            $crate::__aqueduct_select!(@choose $chosen ($($arm)*) ($($more)*) $default)
        }
    };
    (@choose $chosen:ident ($($arm:ident)*)
        ([send $nth:tt $winner:ident $result:pat => $body:expr, $value:expr] $($more:tt)*) $default:tt) => {
        if $chosen == ::core::option::Option::Some($nth) {
            let right = $winner.take();
            $(::core::mem::drop($arm);)*
            let result = right.send($value);
            match result {
                $result => $body,
            }
        } else {
            $crate::__aqueduct_select!(@choose $chosen ($($arm)*) ($($more)*) $default)
        }
    };
    (@choose $chosen:ident ($($arm:ident)*)
        ([done $nth:tt $winner:ident $($error:pat)? => $body:expr] $($more:tt)*) $default:tt) => {
        if $chosen == ::core::option::Option::Some($nth) {
            let error = $winner.take();
            $(::core::mem::drop($arm);)*
            match error {
                $crate::__aqueduct_select!(@pattern $($error)?) => $body,
            }
        } else {
            $crate::__aqueduct_select!(@choose $chosen ($($arm)*) ($($more)*) $default)
        }
    };
    (@choose $chosen:ident ($($arm:ident)*) () (none)) => {
        ::core::unreachable!("one of the arms is chosen")
    };
    (@choose $chosen:ident ($($arm:ident)*) () (now $body:expr)) => {{
        $(::core::mem::drop($arm);)*
        $body
    }};
    (@choose $chosen:ident ($($arm:ident)*) () (after $timeout:ident $body:expr)) => {{
        $(::core::mem::drop($arm);)*
        $body
    }};

    (@pattern) => { _ };
    (@pattern $error:pat) => { $error };
}
