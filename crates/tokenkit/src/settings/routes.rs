//! The codec of `[[routes]]`: checked as the server will use them, so that a
//! wrong pattern is found where it stands in the file.

use engine_hyper::{RouteNeeds, RoutePolicy, RouteRule};
use http::Method;

use super::codec::{Bad, Codec, Flag, TEXT, Texts, number, text};
use super::nearest::nearest;
use super::value::{Entry, Kind, SyntaxError, Value, parse_value};
use super::values::Route;
use crate::error::OperatorError;

/// `[[routes]]`.
pub(super) struct Routes;

/// The members of a route.
const ROUTE: [&str; 4] = ["methods", "path", "needs_user", "cost"];

/// The routes as the gate goes by them.
///
/// # Errors
///
/// A route that does not work, named by its number.
pub(crate) fn route_policy(routes: &[Route]) -> Result<RoutePolicy, OperatorError> {
    let rule = |(i, route): (usize, &Route)| {
        let needs = RouteNeeds {
            needs_user: route.needs_user,
            cost: route.cost,
        };
        RouteRule::new(route.methods.iter().cloned(), &route.path, needs).map_err(|error| {
            OperatorError::wrap(format_args!("[[routes]] number {}", i + 1), error)
        })
    };
    let rules: Result<_, _> = routes.iter().enumerate().map(rule).collect();
    Ok(RoutePolicy::new(rules?))
}

impl Codec for Routes {
    type Checked = Vec<Route>;

    fn read(&self, value: &Value) -> Result<Vec<Route>, Bad> {
        match &value.kind {
            Kind::List(items) => items.iter().map(route).collect(),
            _ => Err(Bad::new(value, "tables are wanted: [[routes]] for each")),
        }
    }

    fn show(&self, routes: &Vec<Route>) -> Value {
        let entry = |key: &str, value| Entry {
            key: key.into(),
            line: 0,
            value,
        };
        let table = |route: &Route| {
            let methods = route
                .methods
                .iter()
                .map(|method| Value::text(method.as_str()));
            let entries = vec![
                entry(ROUTE[0], Kind::List(methods.collect()).into()),
                entry(ROUTE[1], Value::text(&route.path)),
                entry(ROUTE[2], Kind::Flag(route.needs_user).into()),
                entry(ROUTE[3], Kind::Integer(route.cost.into()).into()),
            ];
            Value::from(Kind::Table(entries))
        };
        Kind::List(routes.iter().map(table).collect()).into()
    }

    fn of_text(&self, text: &str) -> Result<Value, SyntaxError> {
        parse_value(text)
    }
}

/// One route, its path and methods checked as the server will use them.
fn route(value: &Value) -> Result<Route, Bad> {
    let Kind::Table(entries) = &value.kind else {
        return Err(Bad::new(value, "tables are wanted: [[routes]] for each"));
    };
    let mut route = Route {
        methods: Vec::new(),
        path: String::new(),
        needs_user: false,
        cost: 1,
    };
    const METHODS: Texts<Vec<Method>> = Texts {
        read: |texts| {
            let method = |text: &&str| {
                Method::from_bytes(text.as_bytes())
                    .map_err(|_| format!("{text:?} is no method of HTTP"))
            };
            texts.iter().map(method).collect()
        },
        show: |methods| methods.iter().map(ToString::to_string).collect(),
    };
    for Entry { key, line, value } in entries {
        match key.as_str() {
            "methods" => route.methods = METHODS.read(value)?,
            "path" => route.path = text(value).ok_or_else(|| Bad::new(value, TEXT))?.into(),
            "needs_user" => route.needs_user = Flag.read(value)?,
            "cost" => route.cost = number(0..=u32::MAX).read(value)?,
            unknown => {
                return Err(Bad {
                    line: *line,
                    given: unknown.into(),
                    wanted: format!(
                        "a route has no such member: is {} meant?",
                        nearest(unknown, ROUTE)
                    ),
                });
            }
        }
    }
    RouteRule::new(
        route.methods.iter().cloned(),
        &route.path,
        RouteNeeds::default(),
    )
    .map_err(|error| Bad::new(value, error))?;
    Ok(route)
}
