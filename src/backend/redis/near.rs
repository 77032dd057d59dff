//! The connection on which the server tells what was changed: RESP3 tracking in broadcast mode, or a bus on which
//! processes tell each other where the server grants no tracking.
//!
//! It is asked for a sign of life several times a second, and counts as alive until a second after the last
//! question that it answered. It has no part in what becomes of the server: when it breaks, copies don't answer
//! until another one stands.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use redis::{PushInfo, PushKind, Value as Resp};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::dial::Dialer;
use super::gates::Place;
use super::link::Link;
use super::{Shared, failure, wire};
use crate::base::error::{Error, ErrorKind, Result};
use crate::config::NearCache;

const EVERY: Duration = Duration::from_millis(250);
/// For how long an answer counts, from when it was asked for, in microseconds.
const LIFE: u64 = 1_000_000;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Keeps such a connection as long as the endpoint is used.
pub async fn run(shared: Arc<Shared>, dialer: Arc<Dialer>, mut live: watch::Receiver<u64>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Ok(serving) = live.wait_for(|serving| *serving != 0).await.map(|serving| *serving)
        else {
            return;
        };
        // Nothing of the keeper is held while this waits.
        let Some(idle) = shared.keeper().map(|keeper| keeper.watched().is_empty()) else { return };
        if idle {
            tokio::select! {
                () = shared.watch_more.notified() => {}
                changed = live.changed() => if changed.is_err() { return },
            }
            continue;
        }
        let began = shared.clock.micros();
        let ended = tokio::select! {
            ended = watch_one(&shared, &dialer) => ended,
            _ = live.wait_for(|now| *now != serving) => Ok(()),
        };
        if let Some(keeper) = shared.keeper() {
            keeper.link_closed();
        }
        if live.has_changed().is_err() {
            return;
        }
        let steady = shared.clock.micros().saturating_sub(began) > 2 * LIFE;
        pause = if steady { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        if ended.is_err() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// How this connection learns of changes.
struct Watch {
    link: Link,
    pushes: UnboundedReceiver<PushInfo>,
    tracks: bool,
    covered: Vec<Bytes>,
}

/// One connection, until it breaks or gives no sign of life.
async fn watch_one(shared: &Arc<Shared>, dialer: &Arc<Dialer>) -> Result<()> {
    let (sender, pushes) = unbounded_channel();
    let link = dialer.dial_with_pushes(sender).await?;
    // What is answered later may have been true no longer than from here on.
    let began = shared.clock.micros();
    let mut watch = Watch { link, pushes, tracks: true, covered: Vec::new() };
    let mode = shared.config.near_cache;
    if mode == NearCache::Bus {
        watch.listen(shared).await?;
    } else {
        match watch.track(shared, true).await {
            Err(error) if mode == NearCache::Auto && is_denied(&error) => {
                watch.listen(shared).await?;
            }
            tracked => tracked?,
        }
    }
    let until = began + LIFE;
    let Some(keeper) = shared.keeper() else { return Ok(()) };
    keeper.link_opened(watch.covered.clone(), until);
    drop(keeper);
    watch.attend(shared, dialer, until).await
}

/// Whether the server grants no tracking, so that asking again is useless.
fn is_denied(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Auth | ErrorKind::Unsupported | ErrorKind::Data)
}

impl Watch {
    /// Asks the server to tell of what is not watched yet.
    async fn track(&mut self, shared: &Shared, first: bool) -> Result<()> {
        // Nothing of the keeper is held while this waits: it may be the last to hold it.
        let Some(mut wanted) = shared.keeper().map(|keeper| keeper.watched()) else {
            return Ok(());
        };
        if first {
            wanted.push(shared.wire.keys.markers().freeze());
        }
        wanted.retain(|family| !self.covered.contains(family));
        if wanted.is_empty() {
            return Ok(());
        }
        if self.tracks {
            let mut ask = redis::cmd("CLIENT");
            ask.arg("TRACKING").arg("ON").arg("BCAST");
            for family in &wanted {
                ask.arg("PREFIX").arg(family.as_ref());
            }
            self.ask(&ask).await?;
        }
        self.covered.extend(wanted);
        if !first && let Some(keeper) = shared.keeper() {
            keeper.link_covers(self.covered.clone());
        }
        Ok(())
    }

    /// Listens to what processes tell each other, and from now on tells them what is written here. Where that
    /// can't be told, nobody may rely on being told.
    async fn listen(&mut self, shared: &Shared) -> Result<()> {
        self.tracks = false;
        let bus = shared.wire.keys.bus();
        self.ask(redis::cmd("PUBLISH").arg(bus.as_ref()).arg("")).await?;
        self.ask(redis::cmd("SUBSCRIBE").arg(bus.as_ref())).await?;
        shared.wire.announces.store(true, Ordering::Release);
        self.track(shared, true).await
    }

    /// Takes what it is told, and asks for signs of life.
    async fn attend(
        &mut self,
        shared: &Arc<Shared>,
        dialer: &Dialer,
        mut until: u64,
    ) -> Result<()> {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                push = self.pushes.recv() => match push {
                    Some(push) => self.take(shared, push)?,
                    None => return Err(Error::unavailable("the connection was closed")),
                },
                () = shared.watch_more.notified() => self.track(shared, false).await?,
                _ = tick.tick() => {
                    let asked = shared.clock.micros();
                    // No later than its last sign of life counts: then nobody may answer for it any more.
                    let patience = Duration::from_micros(until.saturating_sub(asked));
                    self.sign_of_life(shared, dialer, patience).await?;
                    until = asked + LIFE;
                    let Some(keeper) = shared.keeper() else { return Ok(()) };
                    keeper.link_lives(until);
                }
            }
        }
    }

    /// Asks for one, and goes on taking what is told meanwhile: all that the server told before its answer has
    /// been taken when this ends.
    async fn sign_of_life(
        &mut self,
        shared: &Shared,
        dialer: &Dialer,
        patience: Duration,
    ) -> Result<()> {
        let mut connection = self.link.connection.clone();
        let answer = async move {
            dialer.pass(Place::Near).await?;
            let answer = connection.send_packed_command(&redis::cmd("PING")).await;
            answer.map_err(|error| failure::from_redis(&error))
        };
        let answer = tokio::time::timeout(patience, answer);
        tokio::pin!(answer);
        let answered = loop {
            tokio::select! {
                biased;
                push = self.pushes.recv() => match push {
                    Some(push) => self.take(shared, push)?,
                    None => return Err(Error::unavailable("the connection was closed")),
                },
                answered = &mut answer => break answered,
            }
        };
        let answer = answered.map_err(|_| Error::unavailable("it gives no sign of life"))??;
        if let Resp::ServerError(error) = answer {
            return Err(failure::from_server(&error));
        }
        while let Ok(push) = self.pushes.try_recv() {
            self.take(shared, push)?;
        }
        Ok(())
    }

    fn take(&self, shared: &Shared, push: PushInfo) -> Result<()> {
        let Some(keeper) = shared.keeper() else { return Ok(()) };
        match (push.kind, push.data.into_iter().next_back()) {
            (PushKind::Invalidate, Some(Resp::Array(keys))) => {
                for key in keys {
                    if let Resp::BulkString(key) = key {
                        keeper.invalidated(Some(&key.into()));
                    }
                }
            }
            (PushKind::Invalidate, _) => keeper.invalidated(None),
            (PushKind::Message, Some(Resp::BulkString(text))) => match text.split_first() {
                Some((b'k', key)) => keeper.invalidated(Some(&Bytes::copy_from_slice(key))),
                Some(_) => keeper.invalidated(None),
                // Somebody tried whether he may tell.
                None => {}
            },
            (PushKind::Disconnection, _) => {
                return Err(Error::unavailable("the connection was closed"));
            }
            _ => {}
        }
        Ok(())
    }

    async fn ask(&mut self, question: &redis::Cmd) -> Result<()> {
        let answer = self.link.connection.send_packed_command(question);
        let answer = tokio::time::timeout(Duration::from_micros(LIFE), answer).await;
        let answer = answer.map_err(|_| Error::unavailable("it does not answer in time"))?;
        match answer.map_err(|error| failure::from_redis(&error))? {
            Resp::ServerError(error) => Err(failure::from_server(&error)),
            _ => Ok(()),
        }
    }
}

impl super::Wire {
    /// Tells other processes of a change; `None`: of anything.
    pub fn announcement(&self, key: Option<&[u8]>) -> redis::Cmd {
        let mut message = vec![if key.is_some() { b'k' } else { b'a' }];
        message.extend_from_slice(key.unwrap_or_default());
        wire::command(&[b"PUBLISH", &self.keys.bus(), &message])
    }
}
