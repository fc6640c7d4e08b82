//! Whether a function has the shape that an action or a trigger needs, said in the author's words.

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, Result, ReturnType, Type};

/// The function under an attribute, and the types of its parameters.
pub struct Signature {
    pub function: ItemFn,
    pub parameters: Vec<Type>,
    pub output: Type,
}

/// What a signature is compared with.
pub struct Shape {
    /// `an action` or `a trigger`.
    pub what: &'static str,
    /// The parameters as they are written.
    pub parameters: &'static [&'static str],
    /// The return type as it is written.
    pub output: &'static str,
}

impl Shape {
    /// Reads the item under the attribute.
    pub fn read(&self, item: TokenStream) -> Result<Signature> {
        let what = self.what;
        let function: ItemFn = syn::parse2(item.clone()).map_err(|_| {
            Error::new(first(&item), format!("{what} is made of a function: {}", self.written()))
        })?;
        let signature = &function.sig;
        if let Some(word) = &signature.asyncness {
            let why =
                format!("{what} is not `async`: the host waits without blocking a thread; take `async` out");
            return Err(Error::new(word.span(), why));
        }
        if !signature.generics.params.is_empty() {
            let why = format!("{what} has no generics: the host must know its types");
            return Err(Error::new(signature.generics.span(), why));
        }
        let parameters = self.parameters(&function)?;
        let ReturnType::Type(_, output) = &signature.output else {
            return Err(Error::new(signature.ident.span(), format!("{what} returns `{}`", self.output)));
        };
        let output = (**output).clone();
        Ok(Signature { function, parameters, output })
    }

    fn parameters(&self, function: &ItemFn) -> Result<Vec<Type>> {
        let mut types = Vec::new();
        for parameter in &function.sig.inputs {
            match parameter {
                FnArg::Typed(typed) => types.push((*typed.ty).clone()),
                FnArg::Receiver(receiver) => {
                    let why = format!("{} is a free function, without `self`", self.what);
                    return Err(Error::new(receiver.span(), why));
                }
            }
        }
        match types.len().cmp(&self.parameters.len()) {
            std::cmp::Ordering::Less => {
                // Whoever wrote a context, wrote it last: what is missing then stands before it.
                let has_context = usize::from(types.last().is_some_and(is_context));
                let missing =
                    &self.parameters[types.len() - has_context..self.parameters.len() - has_context];
                let missing = missing.join("`, `");
                let why = format!("{} takes {}; this one lacks `{missing}`", self.what, self.listed());
                return Err(Error::new(function.sig.paren_token.span.join(), why));
            }
            std::cmp::Ordering::Greater => {
                let why = format!("{} takes {}, and nothing more", self.what, self.listed());
                return Err(Error::new(types[self.parameters.len()].span(), why));
            }
            std::cmp::Ordering::Equal => {}
        }
        match types.last() {
            Some(last) if !is_context(last) => Err(Error::new(
                last.span(),
                format!("the last parameter of {} is `ctx: &mut Context`", self.what),
            )),
            _ => Ok(types),
        }
    }

    fn listed(&self) -> String {
        format!("`{}`", self.parameters.join("`, `"))
    }

    fn written(&self) -> String {
        format!("`fn name({}) -> {}`", self.parameters.join(", "), self.output)
    }
}

fn is_context(parameter: &Type) -> bool {
    matches!(parameter, Type::Reference(reference) if reference.mutability.is_some())
}

fn first(item: &TokenStream) -> proc_macro2::Span {
    item.clone().into_iter().next().map_or_else(proc_macro2::Span::call_site, |token| token.span())
}
