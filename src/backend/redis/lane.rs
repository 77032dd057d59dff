//! The slow lane: values so large that writing or reading them would hold up everybody else.
//!
//! They go one after the other over a connection of their own, prepared off the I/O thread. While an
//! operation on a key is in the lane, every other operation on that key follows it there, and before it
//! is sent everything that was sent earlier on the other connections has been answered: so the
//! operations on one key stay in order.
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use lru::LruCache;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value as Resp};
use tokio::sync::oneshot;

use super::failure;
use super::hub::Hub;
use super::items::{Item, is_large_intent, is_large_write};
use super::link::{Former, Link, Meter};
use super::wire::Sending;
use crate::backend::Operation;
use crate::backend::intent::{Intent, Outcome};
use crate::base::error::{Error, Result};

/// How many keys of large values are remembered for their reads.
const REMEMBERED: usize = 1024;

/// How a job ends; the connection comes back when it is still good.
type Done = (Option<Link>, Result<Vec<Resp>>);

/// The connection of the job under way, seen from outside.
#[derive(Default)]
struct Busy {
    link: AtomicU64,
    former: Mutex<Option<Former>>,
    /// Set when its pipeline is sent: before that nothing is owed.
    sent: Mutex<Option<(Arc<Meter>, u64)>>,
}

impl Busy {
    fn of(link: &Link) -> Self {
        let busy = Self::default();
        busy.note(link);
        busy
    }

    fn note(&self, link: &Link) {
        self.link.store(link.id, Ordering::Relaxed);
        *self.former.lock() = link.former();
    }
}

pub(super) struct Lane {
    queue: VecDeque<Item>,
    /// How many operations of each key are in the lane.
    keys: HashMap<Bytes, usize>,
    /// Keys whose values were large when last seen.
    large: LruCache<Bytes, ()>,
    link: Option<Link>,
    /// What is known of the connection that the job has.
    busy: Arc<Busy>,
    /// What is under way. It stays here, so that it can be taken back when the job is given up.
    current: Option<Item>,
    /// How often replays failed since one got through.
    failures: u32,
    /// The next one is being looked for.
    starting: bool,
    job: Option<BoxFuture<'static, Done>>,
    /// Opens when every batch up to this number has been answered.
    barrier: Option<(u64, oneshot::Sender<()>)>,
}

impl Default for Lane {
    fn default() -> Self {
        let size = NonZeroUsize::new(REMEMBERED).unwrap_or(NonZeroUsize::MIN);
        Self {
            queue: VecDeque::new(),
            keys: HashMap::new(),
            large: LruCache::new(size),
            link: None,
            busy: Arc::default(),
            current: None,
            failures: 0,
            starting: false,
            job: None,
            barrier: None,
        }
    }
}

impl Lane {
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.job.is_none()
    }

    /// Whether an operation belongs in the lane.
    pub fn wants(&mut self, operation: &Operation) -> bool {
        let Some(key) = operation.key() else { return false };
        if self.holds(key) {
            return true;
        }
        match operation {
            Operation::Set { .. } | Operation::Fill { .. } => {
                let large = is_large_write(operation);
                if large {
                    self.large.put(key.clone(), ());
                } else if !self.large.is_empty() {
                    self.large.pop(key);
                }
                large
            }
            Operation::Get { .. } | Operation::Load { .. } => {
                !self.large.is_empty() && self.large.get(key).is_some()
            }
            _ => false,
        }
    }

    pub fn remember(&mut self, key: &Bytes) {
        self.large.put(key.clone(), ());
    }

    pub async fn next(&mut self) -> Done {
        match &mut self.job {
            Some(job) => {
                let done = job.await;
                self.job = None;
                done
            }
            None => std::future::pending().await,
        }
    }

    /// A batch was answered; the oldest one that is still out has this number.
    pub fn landed(&mut self, oldest: Option<u64>) {
        if self
            .barrier
            .as_ref()
            .is_some_and(|(until, _)| oldest.is_none_or(|number| number > *until))
            && let Some((_, open)) = self.barrier.take()
        {
            let _ = open.send(());
        }
    }

    /// Whether the connection that ended was the lane's.
    pub fn lost(&mut self, id: u64) -> bool {
        if self.link.as_ref().is_some_and(|link| link.id == id) {
            self.link = None;
            return true;
        }
        self.job.is_some() && self.busy.link.load(Ordering::Relaxed) == id
    }

    /// Gives up the connection and the job; its call goes back to the head of the queue. Answers which
    /// connection that was.
    pub fn abort(&mut self) -> Option<Former> {
        self.barrier = None;
        let idle = self.link.take().and_then(|link| link.former());
        if self.job.take().is_none() {
            return idle;
        }
        if let Some(mut item) = self.current.take() {
            match &mut item {
                Item::Call { call, .. } => call.attempts += 1,
                Item::Replay { .. } => self.failures += 1,
            }
            self.queue.push_front(item);
        }
        self.busy.former.lock().take().or(idle)
    }

    /// Empties the lane.
    pub fn drain(&mut self) -> Vec<Item> {
        self.keys.clear();
        self.queue.drain(..).collect()
    }

    /// When bytes last moved on the connection of the job under way.
    pub fn last_moved(&self) -> Option<u64> {
        self.job.as_ref()?;
        self.busy.sent.lock().as_ref().map(|(meter, sent)| meter.last_moved().max(*sent))
    }

    /// Queues an item; `start_lane` sends it, once what came before it is on its way.
    pub fn push(&mut self, item: Item) {
        let Some(key) = item.key().cloned() else { return };
        // What waited for its replay goes before what is asked of its key now.
        let at = match &item {
            Item::Replay { .. } => self.queue.iter().position(|other| other.key() == Some(&key)),
            Item::Call { .. } => None,
        };
        *self.keys.entry(key).or_default() += 1;
        self.queue.insert(at.unwrap_or(self.queue.len()), item);
    }

    /// What is in it, under way or not.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.current.iter().chain(&self.queue)
    }

    /// Whether an operation on this key is in the lane.
    pub fn holds(&self, key: &Bytes) -> bool {
        !self.keys.is_empty() && self.keys.contains_key(key)
    }

    fn leave(&mut self, item: &Item) {
        if let Some(key) = item.key()
            && let Some(count) = self.keys.get_mut(key)
        {
            *count -= 1;
            if *count == 0 {
                self.keys.remove(key);
            }
        }
    }
}

impl Hub {
    /// Whether an intent is replayed in the lane.
    pub fn replays_in_lane(&self, intent: &Intent) -> bool {
        is_large_intent(intent) || self.lane.holds(&intent.key)
    }

    pub fn start_lane(&mut self) {
        // What is refused or given up may lead here again.
        if std::mem::replace(&mut self.lane.starting, true) {
            return;
        }
        while self.start_next() {}
        self.lane.starting = false;
    }

    /// Answers whether the next one has to be looked at: this one came to its end at once.
    fn start_next(&mut self) -> bool {
        if self.lane.job.is_some() || !self.state.live() {
            return false;
        }
        let Some(mut item) = self.lane.queue.pop_front() else { return false };
        if let Some(intent) = self.intent_before(&item) {
            self.went(&intent);
            self.lane.queue.push_front(item);
            *self.lane.keys.entry(intent.key.clone()).or_default() += 1;
            item = Item::replay(intent);
        }
        if let Item::Call { call, seen, .. } = &mut item
            && let Some(keeper) = self.shared.keeper()
        {
            match keeper.sending(call) {
                Ok(mark) => *seen = mark,
                Err(answer) => {
                    self.lane.leave(&item);
                    if let Item::Call { call, .. } = item {
                        call.settler.settle(answer);
                    }
                    return true;
                }
            }
        }
        if let Item::Call { call, .. } = &item
            && call.attempts > self.shared.config.max_retries
        {
            self.lane.leave(&item);
            if let Item::Call { call, .. } = item {
                self.give_up(vec![call]);
            }
            return true;
        }
        let given_up = self.lane.failures > self.shared.config.max_retries;
        if let Item::Replay { .. } = &item
            && given_up
        {
            self.hand_replay_back(item);
            return true;
        }
        let wire = &self.shared.wire;
        let announces = wire.announces.load(Ordering::Acquire);
        match &mut item {
            Item::Call { call, announced, .. } => {
                *announced = announces && call.operation.changes().is_some();
            }
            Item::Replay { intent, announced, .. } => {
                *announced = announces && intent.changes().is_some();
            }
        }
        let encode = self.encoder(&item);
        let barrier = self.barrier();
        let link = self.lane.link.take();
        // A server that takes no more connections is no worse for it.
        let shared_link =
            self.links.first().map(|link| (link.connection.clone(), link.meter.clone()));
        let busy = Arc::new(link.as_ref().map(Busy::of).unwrap_or_default());
        self.lane.busy = busy.clone();
        let dialer = self.dialer.clone();
        let timeout = self.shared.config.command_timeout;
        self.lane.current = Some(item);
        self.lane.job = Some(Box::pin(async move {
            let encoded = tokio::task::spawn_blocking(encode);
            if let Some(barrier) = barrier {
                let _ = barrier.await;
            }
            let (pipeline, count) = match encoded.await {
                Ok(encoded) => encoded,
                Err(error) => return (link, Err(Error::internal(error))),
            };
            let own = match link {
                Some(link) => Ok(link),
                None => dialer.dial_for_large().await,
            };
            let (link, connection, meter) = match (own, shared_link) {
                (Ok(link), _) => {
                    busy.note(&link);
                    let (connection, meter) = (link.connection.clone(), link.meter.clone());
                    (Some(link), connection, meter)
                }
                (Err(_), Some((connection, meter))) => (None, connection, meter),
                (Err(error), None) => return (None, Err(error)),
            };
            *busy.sent.lock() = Some((meter.clone(), dialer.clock.micros()));
            match send_while_bytes_move(connection, &meter, &pipeline, count, timeout, &dialer)
                .await
            {
                Ok(values) => (link, Ok(values)),
                Err(error) => (None, Err(error)),
            }
        }));
        false
    }

    /// What waits for its replay and goes before this.
    fn intent_before(&self, item: &Item) -> Option<Intent> {
        match item {
            Item::Call { call, .. } => self.shared.keeper()?.take_intent(call.operation.key()?),
            Item::Replay { .. } => None,
        }
    }

    /// Writes the commands, and says how many replies they have.
    fn encoder(&self, item: &Item) -> impl FnOnce() -> (Pipeline, usize) + Send + 'static {
        let wire = self.shared.wire.clone();
        let (Item::Call { announced, .. } | Item::Replay { announced, .. }) = item;
        let announced = item.key().filter(|_| *announced).cloned();
        let work = match item {
            Item::Call { call, .. } => {
                // Invalidations of our own that came before have been answered.
                let how = if call.attempts > 0 { Sending::Again } else { Sending::Live };
                Ok((call.operation.clone(), how))
            }
            Item::Replay { intent, .. } => {
                let keeper = self.shared.keeper();
                let may = keeper.is_none_or(|keeper| keeper.may_write_absent(intent));
                Err((intent.clone(), self.now(), may))
            }
        };
        move || {
            let mut pipeline = Pipeline::new();
            let count = match work {
                Ok((operation, how)) => wire.encode(&operation, how, &mut pipeline),
                Err((intent, now, may)) => wire.encode_intent(&intent, now, may, &mut pipeline),
            };
            if let Some(key) = &announced {
                pipeline.add_command(wire.announcement(Some(key)));
            }
            (pipeline, count + usize::from(announced.is_some()))
        }
    }

    fn barrier(&mut self) -> Option<oneshot::Receiver<()>> {
        let newest = *self.batches.keys().next_back()?;
        let (open, wait) = oneshot::channel();
        self.lane.barrier = Some((newest, open));
        Some(wait)
    }

    pub fn lane_done(&mut self, (link, result): Done) {
        let Some(item) = self.lane.current.take() else { return };
        if self.state.live() {
            self.lane.link = link;
        }
        match result {
            Ok(values) => {
                self.lane.failures = 0;
                self.lane.leave(&item);
                self.land_alone(item, values);
            }
            Err(error) if failure::means_unavailable(&error) => self.lane_failed(item, error),
            Err(error) => {
                self.lane.leave(&item);
                match item {
                    Item::Call { call, .. } => call.settler.settle(Err(error)),
                    Item::Replay { intent, .. } => {
                        self.replayed(vec![(intent, Some(Outcome::Conflict))])
                    }
                }
            }
        }
        self.start_lane();
    }

    /// No answer came: it is tried again, or handed back.
    fn lane_failed(&mut self, mut item: Item, error: Error) {
        let again = match &mut item {
            Item::Call { call, .. } => {
                call.attempts += 1;
                call.attempts <= self.shared.config.max_retries
            }
            Item::Replay { .. } => {
                self.lane.failures += 1;
                self.lane.failures <= self.shared.config.max_retries
            }
        };
        if again && !self.state.on_memory() {
            self.lane.queue.push_front(item);
            return self.suspect(error.message);
        }
        if let Item::Replay { .. } = &item {
            return self.hand_replay_back(item);
        }
        self.lane.leave(&item);
        if let Item::Call { call, .. } = item {
            self.give_up(vec![call]);
        }
    }

    /// It is tried again after a while.
    fn hand_replay_back(&mut self, item: Item) {
        self.lane.failures = 0;
        self.lane.leave(&item);
        self.rest();
        if let Item::Replay { intent, .. } = item {
            self.replayed(vec![(intent, None)]);
        }
    }
}

/// A large value on a slow link may take long; only silence ends it.
async fn send_while_bytes_move(
    mut connection: MultiplexedConnection,
    meter: &Meter,
    pipeline: &Pipeline,
    count: usize,
    timeout: std::time::Duration,
    dialer: &Arc<super::dial::Dialer>,
) -> Result<Vec<Resp>> {
    let sending = async {
        dialer.gates.pass(super::gates::Place::Lane).await?;
        connection.send_packed_commands(pipeline, 0, count).await
    };
    tokio::pin!(sending);
    let begun = dialer.clock.micros();
    loop {
        match tokio::time::timeout(timeout, &mut sending).await {
            Ok(result) => return result.map_err(|error| failure::from_redis(&error)),
            Err(_) => {
                let still = dialer.clock.micros().saturating_sub(meter.last_moved().max(begun));
                if still > super::hub::micros(timeout) {
                    return Err(Error::unavailable("the connection fell silent"));
                }
            }
        }
    }
}
