//! Functions and macros. What they are given as patterns, networks, times and durations is compiled.

use std::net::IpAddr;

use cel::{
    IdedExpr,
    common::ast::{Expr, LiteralValue, operators},
};
use ipnet::IpNet;
use regex::RegexBuilder;

use super::{
    super::{
        Problem, functions,
        kind::Kind,
        node::{Each, How, Op},
        time,
        value::Value,
        vars,
    },
    Lower, Lowered, propose,
};

/// Bytes that a compiled pattern may take.
const PATTERN: usize = 1 << 17;

impl Lower<'_> {
    /// Text that is written in the rule itself.
    fn written_text(&self, expr: &IdedExpr, what: &str) -> Result<String, Problem> {
        match &expr.expr {
            Expr::Literal(LiteralValue::String(text)) => Ok(text.inner().to_owned()),
            _ => {
                let message = format!("{what} must be written in the rule itself");
                Err(Problem::new(self.span(expr), message))
            }
        }
    }

    pub(super) fn matches(
        &mut self,
        expr: &IdedExpr,
        of: &IdedExpr,
        pattern: &IdedExpr,
    ) -> Lowered {
        let (op, kind) = self.expr(of)?;
        if !kind.may_be(&[Kind::Text]) {
            return self.wrong(expr, format!("`matches` after {}", kind.word()));
        }
        let text = self.written_text(pattern, "a pattern")?;
        match RegexBuilder::new(&text).size_limit(PATTERN).dfa_size_limit(PATTERN).build() {
            Ok(regex) => Ok((Op::Matches(Box::new(op), regex), Kind::Bool)),
            Err(regex::Error::CompiledTooBig(_)) => {
                self.wrong(pattern, "a pattern that is too large")
            }
            Err(error) => {
                // Its last line says what is wrong, those before draw a picture of it.
                let error = error.to_string();
                let said = error.lines().last().unwrap_or_default();
                let said = said.trim().trim_start_matches("error: ");
                self.wrong(pattern, format!("no pattern that can be read: {said}"))
            }
        }
    }

    pub(super) fn in_network(&mut self, of: &IdedExpr, networks: &IdedExpr) -> Lowered {
        let (op, kind) = self.expr(of)?;
        if !kind.may_be(&[Kind::Text]) {
            let message = format!("an address is text, and this is {}", kind.word());
            return Err(Problem::new(self.span(of), message));
        }
        let written = match &networks.expr {
            Expr::List(list) => list.elements.iter().collect(),
            _ => vec![networks],
        };
        let mut found = Vec::with_capacity(written.len());
        for network in written {
            let text = self.written_text(network, "a network")?;
            let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
            match text.parse::<IpNet>().ok().or_else(alone) {
                Some(network) => found.push(network),
                None => return self.wrong(network, "no network, like `10.0.0.0/8`"),
            }
        }
        Ok((Op::InNetwork(Box::new(op), found.into()), Kind::Bool))
    }

    /// `timestamp("…")` and `duration("…")`.
    pub(super) fn written(&mut self, name: &str, argument: &IdedExpr) -> Lowered {
        let text = self.written_text(argument, &format!("a {name}"))?;
        let (value, kind, like) = match name {
            "duration" => {
                let value = time::parse_duration(&text).map(Value::Duration);
                (value, Kind::Duration, "1h30m")
            }
            _ => (time::parse(&text).map(Value::Time), Kind::Time, "2026-11-21T08:33:46Z"),
        };
        match value {
            Some(value) => Ok((Op::Const(value), kind)),
            None => self.wrong(argument, format!("no {name}, like `{like}`")),
        }
    }

    pub(super) fn each(
        &mut self,
        expr: &IdedExpr,
        name: &str,
        range: &IdedExpr,
        arguments: &[IdedExpr],
    ) -> Lowered {
        let (how, gives) = macro_of(name).unwrap_or((How::All, Kind::Bool));
        let (variable, only, body) = match arguments {
            [variable, body] => (variable, None, body),
            [variable, only, body] if how == How::Map => (variable, Some(only), body),
            _ => return self.wrong(expr, format!("`{name}` takes a name and an expression")),
        };
        let Expr::Ident(variable_name) = &variable.expr else {
            return self.wrong(variable, format!("`{name}` takes a name first"));
        };
        if vars::roots().contains(&variable_name.as_str()) {
            return self.wrong(variable, format!("`{variable_name}` is something else already"));
        }
        let (range_op, kind) = self.expr(range)?;
        if !kind.may_be(&[Kind::List, Kind::Map]) {
            return self.wrong(expr, format!("`{name}` after {}", kind.word()));
        }
        self.locals.push(variable_name.clone());
        let only = only.map(|only| self.truth(only)).transpose();
        let body = match how {
            How::Map => self.expr(body).map(|(op, _)| op),
            _ => self.truth(body),
        };
        self.locals.pop();
        let each = Each { how, range: range_op, only: only?, body: body? };
        Ok((Op::Each(Box::new(each)), gives))
    }

    pub(super) fn function(
        &mut self,
        expr: &IdedExpr,
        name: &str,
        target: Option<&IdedExpr>,
        arguments: &[IdedExpr],
    ) -> Lowered {
        let Some(it) = functions::ALL.iter().find(|it| it.name == name) else {
            let special = ["has", "inNetwork", "matches", "duration"];
            let found = match special.contains(&name) || macro_of(name).is_some() {
                true => Problem::new(self.at(expr), format!("`{name}` is not called so")),
                false => Problem::new(self.at(expr), format!("there is no function `{name}`")),
            };
            let known = functions::ALL.iter().map(|it| it.name).chain(special);
            return Err(found.help(propose(name, &known.collect::<Vec<_>>())));
        };
        let formed = if target.is_some() { it.forms.1 } else { it.forms.0 };
        let given: Vec<_> = target.into_iter().chain(arguments).collect();
        if !formed || given.len() != it.takes.len() {
            let found = Problem::new(self.at(expr), format!("`{name}` is not called so"));
            let rest = if it.takes.len() > 1 { "y" } else { "" };
            let form = if it.forms.1 { format!("x.{name}({rest})") } else { format!("{name}(x)") };
            return Err(found.help(format!("`{form}`")));
        }
        let mut ops = Vec::with_capacity(given.len());
        for (argument, takes) in given.into_iter().zip(it.takes) {
            let (op, kind) = self.expr(argument)?;
            if !kind.may_be(takes) {
                let message = format!("`{name}` of {}", kind.word());
                return Err(Problem::new(self.span(argument), message));
            }
            ops.push(op);
        }
        Ok((Op::Call(it.function, ops.into()), it.gives))
    }
}

/// `timestamp` of text that is written; of a number it is a function.
pub(super) fn is_written_time(name: &str, argument: &IdedExpr) -> bool {
    name == "timestamp" && matches!(argument.expr, Expr::Literal(LiteralValue::String(_)))
}

pub(super) fn macro_of(name: &str) -> Option<(How, Kind)> {
    Some(match name {
        operators::ALL => (How::All, Kind::Bool),
        operators::EXISTS => (How::Exists, Kind::Bool),
        operators::EXISTS_ONE => (How::ExistsOne, Kind::Bool),
        operators::MAP => (How::Map, Kind::List),
        operators::FILTER => (How::Filter, Kind::List),
        _ => return None,
    })
}
