//! The connection on which the server tells what is published: one for all channels that this process listens to, as long
//! as it listens to any. It has no part in what becomes of the server; when it breaks another one is opened, and whoever
//! listens is told for how long nobody did.
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use redis::{Pipeline, PushInfo, PushKind, Value as Resp};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::dial::Dialer;
use super::link::Link;
use super::{Shared, failure};
use crate::backend::message::{Arrived, Audience, Kind, Topic};
use crate::base::error::{Error, Result};

const EVERY: Duration = Duration::from_millis(500);
/// For so long it is waited for an answer at least; for longer where silence is to mean less.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// A connection that lived for so long was a good one, µs.
const STEADY: u64 = 5_000_000;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// So many messages are handed on at once.
const BATCH: usize = 512;

/// Keeps such a connection as long as the endpoint is used and anybody listens.
pub async fn run(shared: Arc<Shared>, dialer: Arc<Dialer>, mut live: watch::Receiver<u64>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Ok(serving) = live.wait_for(|serving| *serving != 0).await.map(|serving| *serving)
        else {
            return;
        };
        // Nothing of the listener is held while this waits.
        let idle = audience(&shared).is_none_or(|audience| audience.wanted().is_empty());
        if idle {
            tokio::select! {
                () = shared.listen_anew.notified() => {}
                changed = live.changed() => if changed.is_err() { return },
            }
            continue;
        }
        let began = shared.clock.micros();
        let alive_at = AtomicU64::new(began);
        let ended = tokio::select! {
            ended = listen(&shared, &dialer, &alive_at) => ended,
            _ = live.wait_for(|now| *now != serving) => Ok(()),
        };
        let alive_at = alive_at.into_inner();
        if alive_at.saturating_sub(began) > STEADY {
            pause = FIRST_PAUSE;
        }
        if let Some(audience) = audience(&shared) {
            audience.link_lost(alive_at);
            if let Err(error) = &ended {
                audience.link_failed(error);
            }
        }
        if live.has_changed().is_err() {
            return;
        }
        pause = if ended.is_err() { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
        if ended.is_err() {
            tokio::time::sleep(pause).await;
        }
    }
}

fn audience(shared: &Shared) -> Option<Arc<dyn Audience>> {
    shared.keeper().and_then(|keeper| keeper.audience())
}

struct Listening {
    link: Link,
    pushes: UnboundedReceiver<PushInfo>,
    topics: HashSet<Topic>,
}

/// One connection, until it breaks, gives no sign of life, or nobody listens any more.
async fn listen(shared: &Arc<Shared>, dialer: &Arc<Dialer>, alive_at: &AtomicU64) -> Result<()> {
    let (sender, pushes) = unbounded_channel();
    let link = dialer.dial_with_pushes(sender).await?;
    let mut listening = Listening { link, pushes, topics: HashSet::new() };
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pushed = Vec::with_capacity(BATCH);
    loop {
        if !listening.adjust(shared).await? {
            return Ok(());
        }
        // Until others are listened to.
        loop {
            tokio::select! {
                count = listening.pushes.recv_many(&mut pushed, BATCH) => {
                    if count == 0 {
                        return Err(closed());
                    }
                    alive_at.store(shared.clock.micros(), Ordering::Relaxed);
                    hand_on(shared, pushed.drain(..))?;
                }
                () = shared.listen_anew.notified() => break,
                _ = tick.tick() => {
                    let asked = shared.clock.micros();
                    listening.ask(shared, &[redis::cmd("PING")]).await?;
                    alive_at.store(asked, Ordering::Relaxed);
                }
            }
        }
    }
}

fn closed() -> Error {
    Error::unavailable("the connection was closed")
}

impl Listening {
    /// Listens to what is wanted, and to nothing else. Answers whether anything is.
    async fn adjust(&mut self, shared: &Shared) -> Result<bool> {
        let Some(wanted) = audience(shared).map(|audience| audience.wanted()) else {
            return Ok(false);
        };
        // Who leaves and comes again meanwhile is told still.
        let told = wanted.iter().filter(|(topic, told)| !told && self.topics.contains(topic));
        let told: Vec<Topic> = told.map(|(topic, _)| topic.clone()).collect();
        if let Some(audience) = audience(shared) {
            told.iter().for_each(|topic| audience.settled(topic, Ok(())));
        }
        let wanted: HashSet<Topic> = wanted.into_iter().map(|(topic, _)| topic).collect();
        let gone: Vec<Topic> = self.topics.difference(&wanted).cloned().collect();
        let new: Vec<Topic> = wanted.difference(&self.topics).cloned().collect();
        let verbs = gone.iter().map(|topic| (verb(topic.kind, false), topic));
        let verbs = verbs.chain(new.iter().map(|topic| (verb(topic.kind, true), topic)));
        let commands: Vec<redis::Cmd> = verbs
            .map(|(verb, topic)| {
                let mut cmd = redis::cmd(verb);
                cmd.arg(topic.name.as_ref());
                cmd
            })
            .collect();
        for topic in &gone {
            self.topics.remove(topic);
        }
        // So many at once, that one answer is not waited for too long.
        let mut answers = Vec::with_capacity(commands.len());
        for some in commands.chunks(BATCH) {
            answers.extend(self.ask(shared, some).await?);
        }
        let Some(audience) = audience(shared) else { return Ok(false) };
        for (topic, answer) in new.into_iter().zip(answers.into_iter().skip(gone.len())) {
            match answer {
                Resp::ServerError(error) => {
                    audience.settled(&topic, Err(failure::from_server(&error)));
                }
                _ => {
                    audience.settled(&topic, Ok(()));
                    self.topics.insert(topic);
                }
            }
        }
        Ok(!wanted.is_empty())
    }

    /// Asks, and goes on handing on what is told meanwhile.
    async fn ask(&mut self, shared: &Shared, commands: &[redis::Cmd]) -> Result<Vec<Resp>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command.clone());
        }
        let count = commands.len();
        let mut connection = self.link.connection.clone();
        let answer = async move { connection.send_packed_commands(&pipeline, 0, count).await };
        tokio::pin!(answer);
        let mut pushed = Vec::new();
        // What is told meanwhile is a sign of life, too: the answer stands behind it.
        let longest = LEAST_PATIENCE.max(2 * shared.config.silence);
        let patience = tokio::time::sleep(longest);
        tokio::pin!(patience);
        let answered = loop {
            tokio::select! {
                biased;
                count = self.pushes.recv_many(&mut pushed, BATCH) => {
                    if count == 0 {
                        return Err(closed());
                    }
                    patience.as_mut().reset(tokio::time::Instant::now() + longest);
                    hand_on(shared, pushed.drain(..))?;
                }
                answered = &mut answer => break answered,
                () = &mut patience => return Err(Error::unavailable("it gives no sign of life")),
            }
        };
        answered.map_err(|error| failure::from_redis(&error))
    }
}

fn verb(kind: Kind, begins: bool) -> &'static str {
    match (kind, begins) {
        (Kind::Channel, true) => "SUBSCRIBE",
        (Kind::Channel, false) => "UNSUBSCRIBE",
        (Kind::Pattern, true) => "PSUBSCRIBE",
        (Kind::Pattern, false) => "PUNSUBSCRIBE",
        (Kind::Shard, true) => "SSUBSCRIBE",
        (Kind::Shard, false) => "SUNSUBSCRIBE",
    }
}

/// Hands on what the server told. Fails when it told its end.
fn hand_on(shared: &Shared, pushes: impl Iterator<Item = PushInfo>) -> Result<()> {
    let mut arrived = Vec::new();
    let mut ended = false;
    for PushInfo { kind, data } in pushes {
        let kind = match kind {
            PushKind::Message => Kind::Channel,
            PushKind::PMessage => Kind::Pattern,
            PushKind::SMessage => Kind::Shard,
            PushKind::Disconnection => {
                ended = true;
                continue;
            }
            _ => continue,
        };
        let mut texts = data.into_iter().map(|part| match part {
            Resp::BulkString(bytes) => Some(Bytes::from(bytes)),
            _ => None,
        });
        let pattern = if kind == Kind::Pattern { texts.next().flatten() } else { None };
        let (Some(Some(channel)), Some(Some(text))) = (texts.next(), texts.next()) else {
            continue;
        };
        let name = pattern.unwrap_or_else(|| channel.clone());
        arrived.push(Arrived { topic: Topic { kind, name }, channel, text });
    }
    if !arrived.is_empty()
        && let Some(audience) = audience(shared)
    {
        audience.arrived(arrived);
    }
    if ended { Err(closed()) } else { Ok(()) }
}
