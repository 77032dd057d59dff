//! Redis: one server, a few connections, and a supervisor of our own over the `redis` crate's
//! multiplexed connection. See docs/decisions/0003-supervisor-over-multiplexed-connection.md.
//!
//! `hub.rs` is the one task that owns the connections and the state: `redial.rs`, `outage.rs` and `watch.rs`
//! are its dials, its comings and goings, its timers; `traffic.rs` sends, `landing.rs`
//! settles, `replay.rs` replays; `lane.rs` is the slow lane for large values; the rest has no state.
mod breaker;
mod clear;
mod dial;
mod failure;
pub mod gates;
mod gathered;
mod grouped;
mod hub;
mod items;
mod judging;
mod key_table;
mod landing;
mod lane;
mod link;
mod listener;
mod near;
mod outage;
mod raw;
mod redial;
mod replay;
pub mod script;
mod spin;
mod state;
mod tls;
mod traffic;
mod watch;
pub mod wire;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::intent::{Intent, Next, Outcome};
use super::limits::Limits;
use super::message::Audience;
use super::rate::Told;
use super::session::{Known, Seen};
use super::{Answer, Backend, Call, Early, Marker, Meta, Operation, Reach, Scope, Settler, Tags};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::keys::Keys;
use crate::base::stamp::{Stamp, Stamps};
use crate::config::{Config, Endpoint, NearCache};
pub use link::Identity;
pub use state::{Change, ConnectionView, State};
pub use wire::Wire;

/// Why a call comes back unanswered.
#[derive(Clone, Debug)]
pub struct Failure {
    /// With `applied` as far as it is known.
    pub error: Error,
}

/// A value that passes by and may be kept aside for an outage.
pub struct Passing<'a> {
    pub key: &'a Bytes,
    pub seen: u32,
    /// Nothing yet: it is unfolded first, and only drops what it replaces.
    pub payload: Option<&'a Bytes>,
    /// It was unfolded meanwhile, and what came since is newer.
    pub late: bool,
    pub meta: &'a Meta,
    /// It was read from the server, not written.
    pub read: bool,
    pub owner: u16,
}

/// What waits to be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    Nothing,
    /// Sets and deletes, which go before their own key's next operation.
    Intents,
    /// Also invalidations of families, which go before anything else.
    Invalidations,
}

/// What the supervisor asks of the layer above it. All methods are quick and never wait.
pub trait Keeper: Send + Sync {
    /// A call is about to be sent. Voids copies and leases of what it writes. Answers the mark that
    /// a copy of this read must carry, or the answer itself when the call must not be sent at all.
    fn sending(&self, call: &Call) -> std::result::Result<u32, Answer>;
    /// A load got a lease.
    fn lease_given(&self, key: &Bytes, token: u64);
    /// A load is about to ask for the lease of its key, with this token.
    fn lease_asked(&self, key: &Bytes, token: u64);
    /// The least that the markers of these tags say together, and the keys of those of which that may not be
    /// all.
    fn markers(&self, tags: &Tags) -> (Marker, Vec<Bytes>);
    /// The mark of a marker that is about to be asked for.
    fn mark_of(&self, key: &Bytes) -> u32;
    /// What markers said, each with its mark when it was asked.
    fn learn_markers(&self, learnt: &[(&Bytes, u32, Option<Marker>)]);
    /// The families of which copies are wanted.
    fn watched(&self) -> Vec<Bytes>;
    /// A connection tells from now on what is changed of what begins so. Copies that are made under it answer
    /// until then.
    fn link_opened(&self, covered: Vec<Bytes>, until: u64);
    /// It tells of more.
    fn link_covers(&self, covered: Vec<Bytes>);
    /// It gave a sign of life.
    fn link_lives(&self, until: u64);
    fn link_closed(&self);
    /// A key was changed; `None`: all of them.
    fn invalidated(&self, key: Option<&Bytes>);
    /// An own clear is done.
    fn cleared(&self, scope: &Scope, stamp: Stamp);
    /// Values that were read or written, each kept if its mark still holds.
    fn keep(&self, values: &mut dyn Iterator<Item = Passing<'_>>);
    /// States of limits as the server has them.
    fn limited(&self, told: Vec<Told>);
    /// Who listens to channels.
    fn audience(&self) -> Option<Arc<dyn Audience>>;
    /// A session as the server had it, to be asked whether it is so still.
    fn known_session(&self, key: &Bytes) -> Option<Known>;
    /// Sessions as the server has them.
    fn sessions(&self, seen: Vec<Seen>);
    /// Calls that no server answered.
    fn unanswered(&self, calls: Vec<(Call, Failure)>);
    fn changed(&self, change: &Change);
    /// What must be done before anybody reads from the server again: invalidations and deletes.
    /// Called again until it answers that nothing is left.
    fn invalidate(&self, replayer: Replayer) -> BoxFuture<'static, Result<()>>;
    /// What waits to be replayed.
    fn owes(&self) -> Owed;
    /// Nothing is left to invalidate, so reads may go to the server again. Answers false when an
    /// invalidation came in the meantime.
    fn go_live(&self) -> bool;
    /// The intent of this key, if it still waits; it is sent before the key's own operation.
    fn take_intent(&self, key: &Bytes) -> Option<Intent>;
    /// Whether memory knows better than the server what this key holds: its family was cleared, or its
    /// intent waits while the replay rests.
    fn answers_itself(&self, key: &Bytes, resting: bool) -> bool;
    /// What goes next of the messages that wait under this key: before those that are published now, and in parts.
    fn next_messages(&self, key: &Bytes) -> Next;
    fn take_intents(&self, at_most: usize) -> Vec<Intent>;
    /// Replays that ended, or came back for another try.
    fn replayed(&self, ended: Vec<(Intent, Option<Outcome>)>);
    /// From now on what waits is replayed, until that has ended, also where that doesn't happen by itself.
    fn asked_by_hand(&self);
    /// Everything was replayed.
    fn resynced(&self);
    /// Who answers now, compared to who answered before; decides what an absent key means.
    fn met(&self, identity: &Identity);
    /// A dial failed; whether it found nobody listening.
    fn missed(&self, refused: bool);
    /// Whether sets were replayed since clears by others were looked for.
    fn may_have_missed_clears(&self) -> bool;
    /// Reads what others cleared: what is older is settled if it waits, and removed if it was replayed.
    fn heed_clears(&self, replayer: Replayer) -> BoxFuture<'static, Result<()>>;
    /// Whether an intent may write a key that it finds absent.
    fn may_write_absent(&self, intent: &Intent) -> bool;
}

/// Replays deletes and clears on a connection that serves nobody yet.
pub struct Replayer {
    pub connection: MultiplexedConnection,
    pub wire: Arc<Wire>,
}

pub(crate) enum Message {
    Calls(Vec<Call>),
    /// Answered when it is known whether the server answers.
    Verdict(Settler),
    Reconnect(Settler),
    Resync(Settler),
    /// Intents came up by themselves.
    CatchUp,
    Force(bool),
    /// Starts the first dial.
    Touch,
    Close,
}

/// What the hub and everybody else share.
pub(crate) struct Shared {
    pub config: Arc<Config>,
    pub clock: Arc<dyn Clock>,
    pub wire: Arc<Wire>,
    pub keeper: OnceLock<Weak<dyn Keeper>>,
    pub view: Mutex<ConnectionView>,
    pub limits: Arc<Limits>,
    /// Copies are wanted of what is not watched yet.
    pub watch_more: Notify,
    /// Others are listened to than before.
    pub listen_anew: Notify,
}

impl Shared {
    pub fn keeper(&self) -> Option<Arc<dyn Keeper>> {
        self.keeper.get().and_then(Weak::upgrade)
    }
}

/// The Redis backend. Without a keeper above it, calls that no server answers fail.
pub struct Redis {
    sender: UnboundedSender<Message>,
    shared: Arc<Shared>,
}

impl Redis {
    /// Nothing is dialled before the first call.
    pub fn new(
        endpoint: Endpoint,
        config: Arc<Config>,
        stamps: Arc<Stamps>,
        clock: Arc<dyn Clock>,
        runtime: &Handle,
    ) -> Self {
        let (sender, receiver) = unbounded_channel();
        let (lost, lost_receiver) = unbounded_channel();
        let keys = Keys::new(&config.key_prefix);
        let wire = Arc::new(Wire {
            keys: keys.clone(),
            stamps: stamps.clone(),
            config: config.clone(),
            gates: Arc::default(),
            announces: AtomicBool::new(config.near_cache == NearCache::Bus),
        });
        let dialer = Arc::new(dial::Dialer {
            endpoint,
            keys,
            stamps,
            clock: clock.clone(),
            timeout: config.connect_timeout,
            lost,
            gates: wire.gates.clone(),
            serving: Mutex::default(),
            reading: Mutex::default(),
        });
        let limits = Limits::new(config.max_in_flight, config.max_in_flight_bytes);
        let shared = Arc::new(Shared {
            config,
            clock,
            wire,
            keeper: OnceLock::new(),
            view: Mutex::new(ConnectionView::default()),
            limits,
            watch_more: Notify::new(),
            listen_anew: Notify::new(),
        });
        let hub = hub::Hub::new(shared.clone(), dialer.clone(), lost_receiver);
        if shared.config.near_cache != NearCache::Off {
            runtime.spawn(near::run(shared.clone(), dialer.clone(), hub.live.subscribe()));
        }
        runtime.spawn(listener::run(shared.clone(), dialer, hub.live.subscribe()));
        runtime.spawn(hub.run(receiver));
        Self { sender, shared }
    }

    /// Sets the layer above; once.
    pub fn keep_with(&self, keeper: Weak<dyn Keeper>) {
        let _ = self.shared.keeper.set(keeper);
    }

    pub fn view(&self) -> ConnectionView {
        self.shared.view.lock().clone()
    }

    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// For tests.
    pub fn gates(&self) -> &gates::Gates {
        &self.shared.wire.gates
    }

    /// Others are listened to than before.
    pub fn listen_anew(&self) {
        self.shared.listen_anew.notify_one();
    }

    /// Copies are wanted of what is not watched yet.
    pub fn watch_more(&self) {
        self.shared.watch_more.notify_one();
    }

    pub fn touch(&self) {
        self.send(Message::Touch);
    }

    pub fn verdict(&self, settler: Settler) {
        self.send(Message::Verdict(settler));
    }

    pub fn reconnect(&self, settler: Settler) {
        self.send(Message::Reconnect(settler));
    }

    pub fn resync(&self, settler: Settler) {
        self.send(Message::Resync(settler));
    }

    pub fn catch_up(&self) {
        self.send(Message::CatchUp);
    }

    pub fn force(&self, forced: bool) {
        self.send(Message::Force(forced));
    }

    pub fn close(&self) {
        self.send(Message::Close);
    }

    fn send(&self, message: Message) {
        // The hub is gone only after `close`; what is sent then settles as closed.
        if let Err(unsent) = self.sender.send(message) {
            match unsent.0 {
                Message::Calls(calls) => super::settle_all(
                    calls.into_iter().map(|call| (call.settler, Err(Error::closed()))),
                ),
                Message::Verdict(settler)
                | Message::Reconnect(settler)
                | Message::Resync(settler) => {
                    settler.settle(Err(Error::closed()));
                }
                Message::Force(_) | Message::CatchUp | Message::Touch | Message::Close => {}
            }
        }
    }
}

impl Backend for Redis {
    fn now(&self, operation: Operation, _: Reach) -> Early {
        Early::Pass(operation)
    }

    fn submit(&self, calls: Vec<Call>) {
        let mut admitted = Vec::with_capacity(calls.len());
        let mut refused = Vec::new();
        for mut call in calls {
            match self.shared.limits.admit(call.operation.weight()) {
                Ok(permit) => {
                    call.permit = Some(permit);
                    admitted.push(call);
                }
                Err(error) => refused.push((call.settler, Err(error))),
            }
        }
        if !admitted.is_empty() {
            self.send(Message::Calls(admitted));
        }
        super::settle_all(refused);
    }
}
