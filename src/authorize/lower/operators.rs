//! Operators, and what is asked of maps and lists.

use cel::{
    IdedExpr,
    common::ast::{Expr, operators},
};
use http::HeaderName;

use super::{
    super::{
        Problem,
        kind::{self, Kind},
        node::{Binary, Op},
        value::Value,
        vars,
    },
    Lower, Lowered, value_of,
};

impl Lower<'_> {
    /// A step that is true or false.
    pub(super) fn truth(&mut self, expr: &IdedExpr) -> Result<Op, Problem> {
        let (op, kind) = self.expr(expr)?;
        if !kind.may_be(&[Kind::Bool]) {
            let message = format!("this must be true or false, and is {}", kind.word());
            return Err(Problem::new(self.span(expr), message));
        }
        Ok(op)
    }

    pub(super) fn logic(
        &mut self,
        _: &IdedExpr,
        decisive: bool,
        [a, b]: [&IdedExpr; 2],
    ) -> Lowered {
        let sides = Box::new([self.truth(a)?, self.truth(b)?]);
        Ok((Op::Logic(decisive, sides), Kind::Bool))
    }

    pub(super) fn binary(
        &mut self,
        expr: &IdedExpr,
        name: &str,
        a: &IdedExpr,
        b: &IdedExpr,
    ) -> Lowered {
        let ((a, a_kind), (b, b_kind)) = (self.expr(a)?, self.expr(b)?);
        let known = binary(name).and_then(|it| Some((it, kind::of(it, a_kind, b_kind)?)));
        let Some((operator, kind)) = known else {
            let sign = name.trim_matches('_');
            let (a, b) = (a_kind.word(), b_kind.word());
            return self.wrong(expr, format!("`{sign}` between {a} and {b}"));
        };
        Ok((Op::Binary(operator, Box::new([a, b])), kind))
    }

    pub(super) fn index(&mut self, expr: &IdedExpr, of: &IdedExpr, key: &IdedExpr) -> Lowered {
        let ((of_op, of_kind), (key_op, key_kind)) = (self.expr(of)?, self.expr(key)?);
        let fits = match of_kind {
            Kind::Map => key_kind.may_be(&[Kind::Text]),
            Kind::List => key_kind.may_be(&[Kind::Int]),
            other => other == Kind::Any && key_kind.may_be(&[Kind::Text, Kind::Int]),
        };
        if !fits {
            let message = format!("{} in brackets after {}", key_kind.word(), of_kind.word());
            return self.wrong(expr, message);
        }
        self.lower_case(&of_op, key, &key_op)?;
        Ok((Op::Index(Box::new([of_op, key_op])), value_of(of_kind, of)))
    }

    pub(super) fn is_in(&mut self, expr: &IdedExpr, item: &IdedExpr, of: &IdedExpr) -> Lowered {
        let ((item_op, item_kind), (of_op, of_kind)) = (self.expr(item)?, self.expr(of)?);
        let fits = match of_kind {
            Kind::Map => item_kind.may_be(&[Kind::Text]),
            Kind::List | Kind::Any => true,
            _ => false,
        };
        if !fits {
            let message = format!("{} is never in {}", item_kind.word(), of_kind.word());
            return self.wrong(expr, message);
        }
        self.lower_case(&of_op, item, &item_op)?;
        Ok((Op::In(Box::new([item_op, of_op])), Kind::Bool))
    }

    /// Remembers the name of a header.
    pub(super) fn header(&mut self, of: &Op, name: &str) {
        if matches!(of, Op::Var(vars::Var::Headers)) {
            self.headers.extend(HeaderName::from_bytes(name.as_bytes()));
        }
    }

    /// A header under a name with capital letters would never be found.
    fn lower_case(&mut self, of: &Op, key: &IdedExpr, op: &Op) -> Result<(), Problem> {
        let (Op::Var(vars::Var::Headers), Op::Const(Value::Text(name))) = (of, op) else {
            return Ok(());
        };
        if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.header(of, name);
            return Ok(());
        }
        let found = Problem::new(self.at(key), "names of headers are in lower case here");
        Err(found.help(format!("did you mean `\"{}\"`?", name.to_ascii_lowercase())))
    }

    pub(super) fn has(&mut self, expr: &IdedExpr, of: &IdedExpr) -> Lowered {
        if let Expr::Select(select) = &of.expr
            && let (Op::Field(of, key), _) = self.field(of, select)?
        {
            return Ok((Op::Has(of, key), Kind::Bool));
        }
        let found = Problem::new(self.at(expr), "`has` asks for a field of a map");
        Err(found.help("`has(claims.role)`, or `\"x-role\" in request.headers`"))
    }
}

pub(super) fn binary(name: &str) -> Option<Binary> {
    Some(match name {
        operators::EQUALS => Binary::Equal,
        operators::NOT_EQUALS => Binary::Unequal,
        operators::LESS => Binary::Less,
        operators::LESS_EQUALS => Binary::LessEqual,
        operators::GREATER => Binary::Greater,
        operators::GREATER_EQUALS => Binary::GreaterEqual,
        operators::ADD => Binary::Add,
        operators::SUBSTRACT => Binary::Subtract,
        operators::MULTIPLY => Binary::Multiply,
        operators::DIVIDE => Binary::Divide,
        operators::MODULO => Binary::Remainder,
        _ => return None,
    })
}
