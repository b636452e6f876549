//! Operators with two sides: comparisons, and arithmetic that fails where it has no right result.

use std::{borrow::Cow, cmp::Ordering};

use super::{
    super::{
        Failed,
        node::Binary,
        value::{Map, Value, numbers},
    },
    Answer, Run,
};

/// The longest text a rule may make.
const LONGEST_TEXT: usize = 1 << 16;

impl<'a> Run<'a> {
    pub(super) fn binary(&self, operator: Binary, a: &Value<'a>, b: &Value<'a>) -> Answer<'a> {
        let holds = match operator {
            Binary::Equal => self.equal(a, b)?,
            Binary::Unequal => !self.equal(a, b)?,
            Binary::Less => self.order(a, b)? == Some(Ordering::Less),
            Binary::LessEqual => self.order(a, b)?.is_some_and(Ordering::is_le),
            Binary::Greater => self.order(a, b)? == Some(Ordering::Greater),
            Binary::GreaterEqual => self.order(a, b)?.is_some_and(Ordering::is_ge),
            _ => return self.arithmetic(operator, a, b),
        };
        Ok(Value::Bool(holds))
    }

    pub(super) fn equal(&self, a: &Value<'_>, b: &Value<'_>) -> Result<bool, Failed> {
        self.facts.spend(1)?;
        Ok(match (a, b) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                self.facts.spend(a.len() / 32)?;
                a == b
            }
            (Value::Time(a), Value::Time(b)) | (Value::Duration(a), Value::Duration(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for at in 0..a.len() {
                    if let (Some(a), Some(b)) = (a.get(at), b.get(at))
                        && !self.equal(&a, &b)?
                    {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Map(Map::Json(a)), Value::Map(Map::Json(b))) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, a) in *a {
                    let Some(b) = b.get(key) else { return Ok(false) };
                    if !self.equal(&a.into(), &b.into())? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Map(_), Value::Map(_)) => return Err(Failed::WrongType),
            (a, b) => numbers(a, b) == Some(Ordering::Equal),
        })
    }

    /// `None` beside what is not a number at all.
    fn order(&self, a: &Value<'_>, b: &Value<'_>) -> Result<Option<Ordering>, Failed> {
        use Value::{Bool, Double, Duration, Int, Text, Time, Uint};
        Ok(match (a, b) {
            (Int(_) | Uint(_) | Double(_), Int(_) | Uint(_) | Double(_)) => numbers(a, b),
            (Bool(a), Bool(b)) => Some(a.cmp(b)),
            (Text(a), Text(b)) => {
                self.facts.spend(a.len().min(b.len()) / 32)?;
                Some(a.cmp(b))
            }
            (Time(a), Time(b)) | (Duration(a), Duration(b)) => Some(a.cmp(b)),
            _ => return Err(Failed::WrongType),
        })
    }

    fn arithmetic(&self, operator: Binary, a: &Value<'a>, b: &Value<'a>) -> Answer<'a> {
        use Value::{Double, Duration, Int, List, Text, Time, Uint};
        let made = match (operator, a, b) {
            (_, Int(a), Int(b)) => whole(operator, *a, *b).map(Int),
            (_, Uint(a), Uint(b)) => natural(operator, *a, *b).map(Uint),
            (Binary::Add, Double(a), Double(b)) => Some(Double(a + b)),
            (Binary::Subtract, Double(a), Double(b)) => Some(Double(a - b)),
            (Binary::Multiply, Double(a), Double(b)) => Some(Double(a * b)),
            (Binary::Divide, Double(a), Double(b)) => Some(Double(a / b)),
            (Binary::Add, Text(a), Text(b)) => {
                let length = a.len() + b.len();
                self.facts.spend(length / 16)?;
                (length <= LONGEST_TEXT).then(|| Text(Cow::Owned([&**a, &**b].concat())))
            }
            (Binary::Add, List(a), List(b)) => {
                self.facts.spend(a.len() + b.len())?;
                let items = (0..a.len()).filter_map(|at| a.get(at));
                Some(Value::list(items.chain((0..b.len()).filter_map(|at| b.get(at))).collect()))
            }
            (Binary::Add, Duration(a), Duration(b)) => a.checked_add(*b).map(Duration),
            (Binary::Add, Time(a), Duration(b)) | (Binary::Add, Duration(b), Time(a)) => {
                a.checked_add(*b).map(Time)
            }
            (Binary::Subtract, Time(a), Time(b)) | (Binary::Subtract, Duration(a), Duration(b)) => {
                a.checked_sub(*b).map(Duration)
            }
            (Binary::Subtract, Time(a), Duration(b)) => a.checked_sub(*b).map(Time),
            _ => return Err(Failed::WrongType),
        };
        made.ok_or(Failed::OutOfRange)
    }
}

fn whole(operator: Binary, a: i64, b: i64) -> Option<i64> {
    match operator {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        Binary::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    }
}

fn natural(operator: Binary, a: u64, b: u64) -> Option<u64> {
    match operator {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        Binary::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    }
}
