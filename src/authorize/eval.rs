//! A rule asked of one request. Each step is paid for before it is made; there is no recursion that the rule
//! itself does not have, and no arithmetic that could overflow unnoticed.

mod operators;

use std::net::IpAddr;

use super::{
    Failed,
    facts::Facts,
    node::{Each, How, Op},
    value::{List, Map, Value},
    vars::Var,
};

type Answer<'a> = Result<Value<'a>, Failed>;

/// One rule and one request.
pub(super) struct Run<'a> {
    facts: &'a Facts<'a>,
    /// What the macros around this step are at.
    locals: Vec<Value<'a>>,
}

// === impl Run ===

impl<'a> Run<'a> {
    pub(super) fn new(facts: &'a Facts<'a>) -> Self {
        Self { facts, locals: Vec::new() }
    }

    /// The value of a step.
    pub(super) fn eval(&mut self, op: &'a Op) -> Answer<'a> {
        self.facts.spend(1)?;
        match op {
            Op::Const(value) => Ok(value.lend()),
            Op::Var(var) => Ok(self.facts.get(*var)),
            Op::Local(at) => self.locals.get(*at).cloned().ok_or(Failed::NoSuchKey),
            Op::Field(of, key) => {
                let of = self.eval(of)?;
                self.lookup(&of, key)?.ok_or(Failed::NoSuchKey)
            }
            Op::Has(of, key) => {
                let of = self.eval(of)?;
                Ok(Value::Bool(self.lookup(&of, key)?.is_some()))
            }
            Op::Index(sides) => self.index(sides),
            Op::List(items) => {
                let items = items.iter().map(|item| self.eval(item));
                items.collect::<Result<Vec<_>, _>>().map(Value::list)
            }
            Op::Not(of) => self.truth(of).map(|it| Value::Bool(!it)),
            Op::Negate(of) => match self.eval(of)? {
                Value::Int(it) => it.checked_neg().map(Value::Int).ok_or(Failed::OutOfRange),
                Value::Double(it) => Ok(Value::Double(-it)),
                Value::Duration(it) => {
                    it.checked_neg().map(Value::Duration).ok_or(Failed::OutOfRange)
                }
                _ => Err(Failed::WrongType),
            },
            Op::Logic(decisive, sides) => self.logic(*decisive, sides).map(Value::Bool),
            Op::Binary(operator, sides) => {
                let [a, b] = &**sides;
                let (a, b) = (self.eval(a)?, self.eval(b)?);
                self.binary(*operator, &a, &b)
            }
            Op::In(sides) => self.is_in(sides).map(Value::Bool),
            Op::Choice(parts) => {
                let [condition, yes, no] = &**parts;
                if self.truth(condition)? { self.eval(yes) } else { self.eval(no) }
            }
            Op::Each(each) => self.each(each),
            Op::Call(function, arguments) => {
                let mut values = [Value::Null, Value::Null];
                for (value, argument) in values.iter_mut().zip(arguments) {
                    *value = self.eval(argument)?;
                }
                function.call(self.facts, values)
            }
            Op::Matches(of, pattern) => match self.eval(of)? {
                Value::Text(text) => {
                    // An automaton may need some nanoseconds for each byte.
                    self.facts.spend(text.len())?;
                    Ok(Value::Bool(pattern.is_match(&text)))
                }
                _ => Err(Failed::WrongType),
            },
            Op::InNetwork(of, networks) => {
                let address = self.address(of)?;
                Ok(Value::Bool(networks.iter().any(|network| network.contains(&address))))
            }
        }
    }

    fn truth(&mut self, op: &'a Op) -> Result<bool, Failed> {
        match self.eval(op)? {
            Value::Bool(it) => Ok(it),
            _ => Err(Failed::WrongType),
        }
    }

    /// `&&` and `||`: the side that decides does so whatever is wrong with the other one.
    fn logic(&mut self, decisive: bool, sides: &'a [Op; 2]) -> Result<bool, Failed> {
        let left = self.truth(&sides[0]);
        if left == Ok(decisive) {
            return left;
        }
        let right = self.truth(&sides[1]);
        if right == Ok(decisive) { right } else { left.and(right) }
    }

    /// What a map holds under a key.
    fn lookup(&self, of: &Value<'a>, key: &str) -> Result<Option<Value<'a>>, Failed> {
        match of {
            Value::Map(map) => self.facts.lookup(*map, key),
            _ => Err(Failed::WrongType),
        }
    }

    fn index(&mut self, sides: &'a [Op; 2]) -> Answer<'a> {
        let (of, key) = (self.eval(&sides[0])?, self.eval(&sides[1])?);
        match (&of, &key) {
            (Value::List(list), Value::Int(at)) => {
                usize::try_from(*at).ok().and_then(|at| list.get(at)).ok_or(Failed::NoSuchKey)
            }
            (Value::Map(_), Value::Text(key)) => self.lookup(&of, key)?.ok_or(Failed::NoSuchKey),
            _ => Err(Failed::WrongType),
        }
    }

    fn is_in(&mut self, sides: &'a [Op; 2]) -> Result<bool, Failed> {
        let (item, of) = (self.eval(&sides[0])?, self.eval(&sides[1])?);
        match (&item, &of) {
            (_, Value::List(list)) => {
                for at in 0..list.len() {
                    if let Some(other) = list.get(at)
                        && self.equal(&item, &other)?
                    {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Value::Text(key), Value::Map(_)) => Ok(self.lookup(&of, key)?.is_some()),
            _ => Err(Failed::WrongType),
        }
    }

    /// The client's own address is one already.
    fn address(&mut self, op: &'a Op) -> Result<IpAddr, Failed> {
        if matches!(op, Op::Var(Var::ClientIp)) {
            return self.facts.client_ip().ok_or(Failed::NoAddress);
        }
        match self.eval(op)? {
            Value::Text(text) => {
                let address: IpAddr = text.trim().parse().map_err(|_| Failed::NoAddress)?;
                Ok(address.to_canonical())
            }
            _ => Err(Failed::WrongType),
        }
    }

    // === macros ===

    fn each(&mut self, each: &'a Each) -> Answer<'a> {
        let list = match self.eval(&each.range)? {
            Value::List(list) => list,
            Value::Map(map) => self.keys(map)?,
            _ => return Err(Failed::WrongType),
        };
        let (mut made, mut failed, mut count) = (Vec::new(), None, 0);
        for at in 0..list.len() {
            let Some(item) = list.get(at) else { break };
            self.facts.spend(1)?;
            self.locals.push(item.clone());
            let said = self.say(each);
            self.locals.pop();
            match (each.how, said) {
                // One that decides does so whatever is wrong with others.
                (How::All, Ok(Said::Bool(false))) => return Ok(Value::Bool(false)),
                (How::Exists, Ok(Said::Bool(true))) => return Ok(Value::Bool(true)),
                (How::All | How::Exists, Err(why)) if why != Failed::TooCostly => {
                    failed = Some(why)
                }
                (How::ExistsOne, Ok(Said::Bool(true))) => count += 1,
                (How::Filter, Ok(Said::Bool(true))) => made.push(item),
                (_, Ok(Said::Value(value))) => made.push(value),
                (_, Ok(_)) => {}
                (_, Err(why)) => return Err(why),
            }
        }
        match (each.how, failed) {
            (_, Some(why)) => Err(why),
            (How::All, None) => Ok(Value::Bool(true)),
            (How::Exists, None) => Ok(Value::Bool(false)),
            (How::ExistsOne, None) => Ok(Value::Bool(count == 1)),
            (How::Map | How::Filter, None) => Ok(Value::list(made)),
        }
    }

    /// What the macro says of one item.
    fn say(&mut self, each: &'a Each) -> Result<Said<'a>, Failed> {
        if each.how != How::Map {
            return self.truth(&each.body).map(Said::Bool);
        }
        match &each.only {
            Some(only) if !self.truth(only)? => Ok(Said::Bool(false)),
            _ => self.eval(&each.body).map(Said::Value),
        }
    }

    fn keys(&self, map: Map<'a>) -> Result<List<'a>, Failed> {
        let keys: Vec<_> = match map {
            Map::Json(map) => map.keys().map(|key| Value::text(key)).collect(),
            Map::Labels(map) => map.keys().map(|key| Value::text(key)).collect(),
            Map::Headers(map) => map.keys().map(|key| Value::text(key.as_str())).collect(),
            Map::Query(_) => return Err(Failed::WrongType),
        };
        self.facts.spend(keys.len())?;
        Ok(List::Made(keys.into()))
    }
}

/// What a macro hears of one item.
enum Said<'a> {
    Bool(bool),
    Value(Value<'a>),
}
