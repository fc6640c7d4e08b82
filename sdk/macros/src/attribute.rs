//! The keys of `#[action(…)]` and `#[trigger(…)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Error, LitStr, Path, Result, Type};

/// What an attribute says; which keys are known depends on the attribute.
#[derive(Default)]
pub struct Attribute {
    pub name: Option<LitStr>,
    pub idempotent: bool,
    pub wants: Vec<Want>,
    pub examples: Vec<LitStr>,
    pub resume: Option<Path>,
    pub cancel: Option<Path>,
    pub enable: Option<Path>,
    pub disable: Option<Path>,
    pub event: Option<Type>,
    pub check: Option<Path>,
    pub sample: Option<Path>,
}

/// A capability that is asked for.
pub struct Want {
    target: String,
    reason: String,
}

impl Attribute {
    /// Reads the attribute's text. `known`: the keys that this attribute has.
    pub fn read(what: &str, known: &[&str], text: TokenStream) -> Result<Self> {
        let mut attribute = Self::default();
        let parser = syn::meta::parser(|meta| {
            let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            if !known.contains(&key.as_str()) {
                return Err(
                    meta.error(format!("{what} has no key `{key}`; it knows `{}`", known.join("`, `")))
                );
            }
            attribute.key(&key, &meta)
        });
        parser.parse2(text)?;
        if let Some(name) = &attribute.name {
            check_name(name)?;
        }
        Ok(attribute)
    }

    fn key(&mut self, key: &str, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match key {
            "name" => self.name = Some(meta.value()?.parse()?),
            "idempotent" => self.idempotent = true,
            "wants" => meta.parse_nested_meta(|want| {
                if !want.path.is_ident("http") {
                    return Err(
                        want.error("the only capability is `http`: `wants(http = \"api.example.com: why\")`")
                    );
                }
                self.wants.push(Want::read(&want.value()?.parse()?)?);
                Ok(())
            })?,
            "example" => self.examples.push(check_json(meta.value()?.parse()?)?),
            "resume" => self.resume = Some(meta.value()?.parse()?),
            "cancel" => self.cancel = Some(meta.value()?.parse()?),
            "enable" => self.enable = Some(meta.value()?.parse()?),
            "disable" => self.disable = Some(meta.value()?.parse()?),
            "check" => self.check = Some(meta.value()?.parse()?),
            "sample" => self.sample = Some(meta.value()?.parse()?),
            _ => self.event = Some(meta.value()?.parse()?),
        }
        Ok(())
    }

    /// The name: what the attribute says, or the function's in kebab case.
    pub fn name(&self, function: &syn::Ident) -> String {
        match &self.name {
            Some(name) => name.value(),
            None => kebab(function),
        }
    }

    /// The list of wants as an expression.
    pub fn wants(&self) -> TokenStream {
        let wants = self.wants.iter().map(|Want { target, reason }| {
            quote!(::flowcell_sdk::__private::Want { capability: "http-request", target: #target, reason: #reason })
        });
        quote!(::std::vec![#(#wants),*])
    }

    /// The list of examples as an expression.
    pub fn examples(&self) -> TokenStream {
        let examples = &self.examples;
        quote!(::std::vec![#(::flowcell_sdk::__private::example(#examples)),*])
    }
}

impl Want {
    fn read(text: &LitStr) -> Result<Self> {
        let value = text.value();
        match value.split_once(": ") {
            Some((target, reason)) if !target.trim().is_empty() && !reason.trim().is_empty() => {
                Ok(Self { target: target.trim().to_owned(), reason: reason.trim().to_owned() })
            }
            _ => Err(Error::new(
                text.span(),
                "say what is to be reached and why: `http = \"api.example.com: reads the weather\"`",
            )),
        }
    }
}

/// A name as flows and descriptors have it.
pub fn kebab(name: &syn::Ident) -> String {
    name.to_string().trim_start_matches("r#").replace('_', "-")
}

fn check_name(name: &LitStr) -> Result<()> {
    let value = name.value();
    let legal = value.starts_with(|c: char| c.is_ascii_lowercase())
        && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !value.ends_with('-');
    match legal {
        true => Ok(()),
        false => Err(Error::new(
            name.span(),
            "a name has lower-case letters, digits and `-`, such as `post-message`",
        )),
    }
}

fn check_json(text: LitStr) -> Result<LitStr> {
    match serde_json::from_str::<serde_json::Value>(&text.value()) {
        Ok(_) => Ok(text),
        Err(error) => Err(Error::new(text.span(), format!("this example is not JSON: {error}"))),
    }
}
