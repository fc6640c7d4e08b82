//! Doc comments as the texts of a descriptor.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// A title and a summary.
pub struct Documentation {
    pub title: String,
    pub summary: String,
}

impl Documentation {
    /// The first line, without its full stop, and the rest.
    pub fn of(attributes: &[Attribute]) -> Self {
        let lines: Vec<String> = attributes.iter().filter_map(line).collect();
        let text = lines.join("\n");
        let (title, rest) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
        Self { title: title.trim_end_matches('.').to_owned(), summary: rest.trim().to_owned() }
    }
}

fn line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value else {
        return None;
    };
    pair.path.is_ident("doc").then(|| text.value().trim().to_owned())
}
