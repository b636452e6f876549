//! The operator's own layers.

use super::Stacks;
use crate::{
    config::{
        diagnostic::{Diagnostic, Diagnostics},
        model::{CustomLayer, LayerPosition, Route},
    },
    layers::custom::LayerService,
};

impl Stacks<'_> {
    /// The operator's own layers at one place. The first written is the outermost.
    pub(super) fn custom(
        &self,
        route: &Route,
        at: LayerPosition,
        inner: LayerService,
        found: &mut Diagnostics,
    ) -> LayerService {
        let here = route.layers.iter().filter(|layer| layer.at == at);
        here.rev().fold(inner, |inner, layer| self.custom_one(layer, inner, found))
    }

    fn custom_one(
        &self,
        layer: &CustomLayer,
        inner: LayerService,
        found: &mut Diagnostics,
    ) -> LayerService {
        let name = &layer.name.value;
        let Some(factory) = self.context.registry.find(name) else {
            let known: Vec<_> = self.context.registry.names().collect();
            let help = if known.is_empty() {
                "this binary was built without layers of its own; see examples/own_layer.rs".into()
            } else {
                format!("this binary has: {}", known.join(", "))
            };
            let message = format!("no layer is registered as `{name}`");
            found.push(Diagnostic::error(layer.name.place, message).help(help));
            return inner;
        };
        match factory(&layer.config.value) {
            Ok(wrap) => wrap(inner),
            Err(problem) => {
                let message = format!("layer `{name}` refuses its settings: {problem}");
                found.push(Diagnostic::error(layer.config.place, message));
                inner
            }
        }
    }
}
