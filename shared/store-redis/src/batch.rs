//! Commands that go together.

use std::collections::HashMap;

use redis::{Cmd, ErrorKind, Pipeline, RedisError, Value};

use crate::{keys::Key, scripts::Script};

/// What happens to a batch's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads, or writes that may be lost.
    Plain,
    /// Writes that wait for replicas, where that is asked for.
    Durable,
    /// Such writes, those of a slot taking effect as one.
    Transaction,
}

/// Commands for one exchange with the servers, in any number of slots. Those of a slot are sent
/// together and run in order.
pub(crate) struct Batch {
    kind: Kind,
    has_slots: bool,
    parts: Vec<Part>,
    by_slot: HashMap<u16, usize>,
    /// Per command, in the order they came: its part, and its place there.
    places: Vec<(usize, usize)>,
}

/// The commands of one slot.
pub(crate) struct Part {
    pub(crate) pipeline: Pipeline,
    commands: usize,
    /// Scripts that an earlier command of this part has brought to the server, by hash.
    brought: Vec<&'static str>,
}

impl Batch {
    /// `has_slots`: without, all keys are on one server, and count as of one slot.
    pub(crate) fn new(kind: Kind, has_slots: bool) -> Self {
        let (parts, by_slot, places) = (Vec::new(), HashMap::new(), Vec::new());
        Self { kind, has_slots, parts, by_slot, places }
    }

    /// Adds a command on `key`, or on several of its slot.
    pub(crate) fn push(&mut self, key: &Key, command: Cmd) {
        let at = self.part(key);
        let part = &mut self.parts[at];
        part.pipeline.add_command(command);
        self.places.push((at, part.commands));
        part.commands += 1;
    }

    /// Adds a run of a script on keys of one slot.
    pub(crate) fn run(&mut self, script: &'static Script, keys: &[Key], args: &[Vec<u8>]) {
        let Some(first) = keys.first() else { return };
        let at = self.part(first);
        let brought = &mut self.parts[at].brought;
        // The first run brings the source along: a server that was restarted has forgotten it.
        let mut command = if brought.contains(&script.hash()) {
            let mut command = redis::cmd("EVALSHA");
            command.arg(script.hash());
            command
        } else {
            brought.push(script.hash());
            let mut command = redis::cmd("EVAL");
            command.arg(script.source());
            command
        };
        command.arg(keys.len());
        for key in keys {
            command.arg(key);
        }
        for arg in args {
            command.arg(arg);
        }
        self.push(first, command);
    }

    pub(crate) fn is_transaction(&self) -> bool {
        self.kind == Kind::Transaction
    }

    /// The commands that were added, by slot; before the batch is sealed.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &Cmd> {
        // A transaction's parts begin with a command of their own.
        let own = usize::from(self.is_transaction());
        self.parts.iter().flat_map(move |part| part.pipeline.cmd_iter().skip(own))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Ends the parts' pipelines, ready to be sent any number of times. With `replicas`, what is
    /// durable is confirmed by as many of them within `wait_ms`.
    pub(crate) fn seal(&mut self, replicas: usize, wait_ms: u64) {
        for part in &mut self.parts {
            if self.kind == Kind::Transaction {
                part.pipeline.cmd("EXEC");
            }
            if self.kind != Kind::Plain && replicas > 0 {
                part.pipeline.cmd("WAIT").arg(replicas).arg(wait_ms);
            }
        }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Replies of the parts' pipelines, as replies of the commands in the order they came.
    pub(crate) fn replies(
        &self,
        answers: Vec<Vec<Value>>,
        replicas: usize,
    ) -> Result<Vec<Value>, RedisError> {
        let odd = || RedisError::from((ErrorKind::Parse, "a reply is missing"));
        let mut parts = Vec::with_capacity(answers.len());
        for (part, mut answer) in self.parts.iter().zip(answers) {
            if self.kind != Kind::Plain && replicas > 0 {
                let confirmed: usize = redis::from_redis_value(answer.pop().ok_or_else(odd)?)?;
                if confirmed < replicas {
                    return Err(RedisError::from((
                        ErrorKind::Client,
                        "too few replicas confirmed the write",
                        format!("{confirmed} of {replicas}"),
                    )));
                }
            }
            if self.kind == Kind::Transaction {
                let Some(Value::Array(values)) = answer.pop() else { return Err(odd()) };
                answer = values;
            }
            if answer.len() != part.commands {
                return Err(odd());
            }
            parts.push(answer);
        }
        let mut take = |(part, place): &(usize, usize)| {
            let reply = parts.get_mut(*part).and_then(|part| part.get_mut(*place));
            reply.map(std::mem::take).ok_or_else(odd)
        };
        self.places.iter().map(&mut take).collect()
    }

    fn part(&mut self, key: &Key) -> usize {
        let slot = if self.has_slots { key.slot() } else { 0 };
        let (parts, kind) = (&mut self.parts, self.kind);
        *self.by_slot.entry(slot).or_insert_with(|| {
            let mut pipeline = Pipeline::new();
            if kind == Kind::Transaction {
                pipeline.cmd("MULTI");
            }
            parts.push(Part { pipeline, commands: 0, brought: Vec::new() });
            parts.len() - 1
        })
    }
}
