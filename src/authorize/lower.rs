//! Syntax to steps: names become what they stand for, patterns and networks are compiled, and what could
//! never be evaluated is refused, with its place.

mod calls;
mod operators;

use std::{ops::Range, sync::Arc};

use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, SourceInfo, operators as signs},
};
use http::HeaderName;

use self::{
    calls::{is_written_time, macro_of},
    operators::binary,
};
use super::{
    Problem,
    kind::Kind,
    node::Op,
    parse,
    value::{List, Value},
    vars,
};

/// Steps of a rule as it is written.
const MOST: usize = 1000;
/// Steps inside one another; what is evaluated by a worker needs little of its stack.
const DEEPEST: usize = 40;

type Lowered = Result<(Op, Kind), Problem>;

/// What is being lowered.
struct Lower<'t> {
    text: &'t str,
    source: &'t SourceInfo,
    /// Names of the macros around this place.
    locals: Vec<String>,
    steps: usize,
    depth: usize,
    asks_who: bool,
    headers: Vec<HeaderName>,
}

/// What an expression was made into.
pub(super) struct Made {
    pub(super) op: Op,
    /// Whether it asks who a request is from.
    pub(super) asks_who: bool,
    /// The headers it names.
    pub(super) headers: Vec<HeaderName>,
}

/// The steps of an expression.
pub(super) fn lower(text: &str, expr: &IdedExpr, source: &SourceInfo) -> Result<Made, Problem> {
    let (locals, headers) = (Vec::new(), Vec::new());
    let mut lower = Lower { text, source, locals, steps: 0, depth: 0, asks_who: false, headers };
    let (op, kind) = lower.expr(expr)?;
    if !kind.may_be(&[Kind::Bool]) {
        let message = format!("a rule is true or false, and this is {}", kind.word());
        return Err(Problem::new(0..text.len(), message));
    }
    Ok(Made { op, asks_who: lower.asks_who, headers: lower.headers })
}

// === impl Lower ===

impl Lower<'_> {
    fn at(&self, expr: &IdedExpr) -> Range<usize> {
        let (start, end) = self.source.offset_for(expr.id).unwrap_or((0, u32::MAX));
        parse::range(self.text, start as usize, (end as usize).saturating_add(1))
    }

    /// All of it, as far as the parser says where it stands.
    fn span(&self, expr: &IdedExpr) -> Range<usize> {
        let here = self.at(expr);
        let parts: Vec<&IdedExpr> = match &expr.expr {
            Expr::Select(select) => {
                let end = here.end + select.field.len();
                let start = self.span(&select.operand).start;
                return parse::range(self.text, start, end);
            }
            Expr::Call(call) => call.target.iter().map(|it| &**it).chain(&call.args).collect(),
            _ => return here,
        };
        parts.into_iter().fold(here, |whole, part| {
            let part = self.span(part);
            whole.start.min(part.start)..whole.end.max(part.end)
        })
    }

    fn wrong<T>(&self, expr: &IdedExpr, message: impl Into<String>) -> Result<T, Problem> {
        Err(Problem::new(self.at(expr), message))
    }

    fn expr(&mut self, expr: &IdedExpr) -> Lowered {
        self.steps += 1;
        if self.steps > MOST {
            return Err(Problem::new(0..self.text.len(), "a rule of more than a thousand steps"));
        }
        if self.depth == DEEPEST {
            return self.wrong(expr, "too many steps inside one another");
        }
        self.depth += 1;
        let lowered = self.step(expr);
        self.depth -= 1;
        lowered
    }

    fn step(&mut self, expr: &IdedExpr) -> Lowered {
        match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(name) => self.name(expr, name),
            Expr::Select(select) => self.field(expr, select),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => {
                let items = list.elements.iter().map(|item| Ok(self.expr(item)?.0));
                Ok((constant(items.collect::<Result<Vec<_>, _>>()?), Kind::List))
            }
            Expr::Map(_) => self.wrong(expr, "a rule has no maps of its own"),
            Expr::Struct(_) => self.wrong(expr, "a rule makes no messages"),
            Expr::Comprehension(_) | Expr::Unspecified => self.wrong(expr, "it is no expression"),
        }
    }

    fn literal(&self, expr: &IdedExpr, literal: &LiteralValue) -> Lowered {
        let (value, kind) = match literal {
            LiteralValue::Null => (Value::Null, Kind::Null),
            LiteralValue::Boolean(it) => (Value::Bool(*it.inner()), Kind::Bool),
            LiteralValue::Int(it) => (Value::Int(*it.inner()), Kind::Int),
            LiteralValue::UInt(it) => (Value::Uint(*it.inner()), Kind::Uint),
            LiteralValue::Double(it) => (Value::Double(*it.inner()), Kind::Double),
            LiteralValue::String(it) => (Value::Text(it.inner().to_owned().into()), Kind::Text),
            LiteralValue::Bytes(_) => return self.wrong(expr, "a rule knows text, and no bytes"),
        };
        Ok((Op::Const(value), kind))
    }

    // === names ===

    fn name(&mut self, expr: &IdedExpr, name: &str) -> Lowered {
        if let Some(at) = self.locals.iter().rposition(|local| local == name) {
            return Ok((Op::Local(at), Kind::Any));
        }
        if let Some(known) = self.variable(name, "") {
            return Ok(known);
        }
        let fields = vars::fields(name);
        if fields.is_empty() {
            let found = Problem::new(self.at(expr), format!("there is no `{name}`"));
            let known = vars::roots().into_iter().chain(self.locals.iter().map(String::as_str));
            return Err(found.help(propose(name, &known.collect::<Vec<_>>())));
        }
        let found = Problem::new(self.at(expr), format!("`{name}` is no value by itself"));
        Err(found.help(format!("its fields: {}", fields.join(", "))))
    }

    fn variable(&mut self, root: &str, field: &str) -> Option<(Op, Kind)> {
        let (var, kind) = vars::find(root, field)?;
        self.asks_who |= matches!(var, vars::Var::Consumer | vars::Var::Claims);
        Some((Op::Var(var), kind))
    }

    fn field(&mut self, expr: &IdedExpr, select: &SelectExpr) -> Lowered {
        let field = select.field.as_str();
        if let Expr::Ident(root) = &select.operand.expr
            && !self.locals.contains(root)
            && !vars::fields(root).is_empty()
        {
            return self.variable(root, field).ok_or_else(|| {
                let found = Problem::new(self.span(expr), format!("`{root}` has no `{field}`"));
                found.help(propose(field, &vars::fields(root)))
            });
        }
        let (of, kind) = self.expr(&select.operand)?;
        if !kind.may_be(&[Kind::Map]) {
            return self.wrong(expr, format!("{} has no field `{field}`", kind.word()));
        }
        self.header(&of, field);
        Ok((Op::Field(Box::new(of), field.into()), value_of(kind, &select.operand)))
    }

    // === calls ===

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Lowered {
        let name = call.func_name.as_str();
        match (&call.target, call.args.as_slice()) {
            (None, [a, b]) if name == signs::LOGICAL_AND => self.logic(expr, false, [a, b]),
            (None, [a, b]) if name == signs::LOGICAL_OR => self.logic(expr, true, [a, b]),
            (None, [of]) if name == signs::LOGICAL_NOT => {
                let of = self.truth(of)?;
                Ok((Op::Not(Box::new(of)), Kind::Bool))
            }
            (None, [of]) if name == signs::NEGATE => {
                let (op, kind) = self.expr(of)?;
                if !kind.may_be(&[Kind::Int, Kind::Double, Kind::Duration]) {
                    return self.wrong(expr, format!("`-` before {}", kind.word()));
                }
                Ok((Op::Negate(Box::new(op)), kind))
            }
            (None, [condition, yes, no]) if name == signs::CONDITIONAL => {
                let condition = self.truth(condition)?;
                let ((yes, a), (no, b)) = (self.expr(yes)?, self.expr(no)?);
                Ok((Op::Choice(Box::new([condition, yes, no])), a.or(b)))
            }
            (None, [of, key]) if name == signs::INDEX => self.index(expr, of, key),
            (None, [item, of]) if name == signs::IN => self.is_in(expr, item, of),
            (None, [a, b]) if binary(name).is_some() => self.binary(expr, name, a, b),
            (None, [of]) if name == signs::HAS => self.has(expr, of),
            (None, [of, networks]) if name == "inNetwork" => self.in_network(of, networks),
            (None, [text]) if name == "duration" || is_written_time(name, text) => {
                self.written(name, text)
            }
            (Some(of), [pattern]) if name == "matches" => self.matches(expr, of, pattern),
            (Some(range), arguments) if macro_of(name).is_some() => {
                self.each(expr, name, range, arguments)
            }
            (target, arguments) => self.function(expr, name, target.as_deref(), arguments),
        }
    }
}

/// A list that is the same for all requests is made once.
fn constant(items: Vec<Op>) -> Op {
    if !items.iter().all(|item| matches!(item, Op::Const(_))) {
        return Op::List(items.into());
    }
    let values = items.into_iter().filter_map(|item| match item {
        Op::Const(value) => Some(value),
        _ => None,
    });
    Op::Const(Value::List(List::Made(values.collect::<Arc<[_]>>())))
}

/// What is found in a map: in those of the request, text.
fn value_of(kind: Kind, of: &IdedExpr) -> Kind {
    let is_claims = matches!(&of.expr, Expr::Ident(name) if name == "claims");
    if kind == Kind::Map && !is_claims { Kind::Text } else { Kind::Any }
}

fn propose(word: &str, known: &[&str]) -> String {
    let close = known.iter().map(|it| (strsim::damerau_levenshtein(word, it), *it)).min();
    match close {
        Some((distance, it)) if distance <= (word.len() / 3).max(1) => {
            format!("did you mean `{it}`?")
        }
        _ => format!("known are {}", known.join(", ")),
    }
}
