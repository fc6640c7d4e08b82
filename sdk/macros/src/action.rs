//! `#[action]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Result;
use syn::spanned::Spanned;

use crate::attribute::Attribute;
use crate::documentation::Documentation;
use crate::signature::{Shape, Signature};

const KEYS: &[&str] = &["name", "idempotent", "wants", "example", "resume", "cancel", "check"];
const SHAPE: Shape = Shape {
    what: "an action",
    parameters: &["input: Input", "ctx: &mut Context"],
    output: "Result<Output, Problem>",
};

/// The function, and its implementation of `Action`.
pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let attribute = Attribute::read("`action`", KEYS, attribute)?;
    let Signature { function, parameters, output } = SHAPE.read(item)?;
    let Documentation { title, summary } = Documentation::of(&function.attrs);
    let (ident, visibility) = (&function.sig.ident, &function.vis);
    let (name, input) = (attribute.name(ident), &parameters[0]);
    let (idempotent, wants, examples) = (attribute.idempotent, attribute.wants(), attribute.examples());
    let answer = quote_spanned!(output.span()=> <#output as ::flowcell_sdk::__private::Answer>);
    let (waiting, check) = (waiting(&attribute), check(&attribute));
    Ok(quote! {
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types, missing_docs)]
        #visibility struct #ident {}

        impl ::flowcell_sdk::Action for #ident {
            const NAME: &'static str = #name;

            fn describe() -> ::flowcell_sdk::__private::ActionDescriptor {
                ::flowcell_sdk::__private::ActionDescriptor {
                    name: #name,
                    title: #title,
                    summary: #summary,
                    input: ::flowcell_sdk::__private::schema_in::<#input>(),
                    output: ::flowcell_sdk::__private::schema_out::<#answer::Output>(),
                    idempotent: #idempotent,
                    wants: #wants,
                    examples: #examples,
                }
            }

            fn start(
                input: &str,
                ctx: &mut ::flowcell_sdk::Context,
            ) -> ::core::result::Result<::flowcell_sdk::Outcome, ::flowcell_sdk::Problem> {
                let input: #input = ::flowcell_sdk::__private::parse(input)?;
                #answer::into_outcome(#ident(input, ctx))
            }

            #waiting

            #check
        }
    })
}

/// `check` where the attribute names a function for it.
fn check(attribute: &Attribute) -> Option<TokenStream> {
    let function = attribute.check.as_ref()?;
    Some(quote_spanned! {function.span()=>
        fn check(
            draft: &::flowcell_sdk::Draft,
            ctx: &mut ::flowcell_sdk::Context,
        ) -> ::std::vec::Vec<::flowcell_sdk::Finding> {
            #function(draft, ctx)
        }
    })
}

/// `resume` and `cancel` where the attribute names functions for them.
fn waiting(attribute: &Attribute) -> TokenStream {
    let resume = attribute.resume.as_ref().map(|function| {
        quote_spanned! {function.span()=>
            fn resume(
                state: &[u8],
                event: &str,
                ctx: &mut ::flowcell_sdk::Context,
            ) -> ::core::result::Result<::flowcell_sdk::Outcome, ::flowcell_sdk::Problem> {
                let state = ::flowcell_sdk::__private::state(state)?;
                let wake = ::flowcell_sdk::__private::parse(event)?;
                ::flowcell_sdk::__private::Answer::into_outcome(#function(state, wake, ctx))
            }
        }
    });
    let cancel = attribute.cancel.as_ref().map(|function| {
        quote_spanned! {function.span()=>
            fn cancel(
                state: &[u8],
                reason: &str,
                ctx: &mut ::flowcell_sdk::Context,
            ) -> ::core::result::Result<(), ::flowcell_sdk::Problem> {
                #function(::flowcell_sdk::__private::state(state)?, reason, ctx)
            }
        }
    });
    quote!(#resume #cancel)
}
