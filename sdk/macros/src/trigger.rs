//! `#[trigger]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Result, Type};

use crate::attribute::Attribute;
use crate::documentation::Documentation;
use crate::signature::{Shape, Signature};

const KEYS: &[&str] = &["name", "event", "wants", "example", "enable", "disable", "check", "sample"];
const SHAPE: Shape = Shape {
    what: "a trigger",
    parameters: &["config: Config", "request: Inbound", "ctx: &mut Context"],
    output: "Result<Verdict, Problem>",
};

/// The function, and its implementation of `Trigger`.
pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let attribute = Attribute::read("`trigger`", KEYS, attribute)?;
    let Signature { function, parameters, .. } = SHAPE.read(item)?;
    let Documentation { title, summary } = Documentation::of(&function.attrs);
    let (ident, visibility) = (&function.sig.ident, &function.vis);
    let (name, config) = (attribute.name(ident), &parameters[0]);
    let (wants, examples) = (attribute.wants(), attribute.examples());
    let event = match &attribute.event {
        Some(event) => quote!(::flowcell_sdk::__private::schema_out::<#event>()),
        None => quote!(::flowcell_sdk::__private::example("{}")),
    };
    let switching = switching(&attribute, config);
    let (check, sampling) = (check(&attribute, config), sampling(&attribute, ident));
    let samples = attribute.sample.is_some();
    let subscribes = attribute.enable.is_some() || attribute.disable.is_some();
    Ok(quote! {
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types, missing_docs)]
        #visibility struct #ident {}

        impl ::flowcell_sdk::Trigger for #ident {
            const NAME: &'static str = #name;
            const SAMPLES: bool = #samples;

            fn describe() -> ::flowcell_sdk::__private::TriggerDescriptor {
                ::flowcell_sdk::__private::TriggerDescriptor {
                    name: #name,
                    title: #title,
                    summary: #summary,
                    config: ::flowcell_sdk::__private::schema_in::<#config>(),
                    event: #event,
                    wants: #wants,
                    subscribes: #subscribes,
                    examples: #examples,
                    samples: #samples,
                }
            }

            fn receive(
                config: &str,
                ctx: &mut ::flowcell_sdk::Context,
            ) -> ::core::result::Result<::std::string::String, ::flowcell_sdk::Problem> {
                let config: #config = ::flowcell_sdk::__private::parse(config)?;
                let request = ::flowcell_sdk::__private::inbound(ctx);
                ::flowcell_sdk::__private::verdict(#ident(config, request, ctx))
            }

            #switching

            #check
        }

        #sampling
    })
}

/// What a function finds that the attribute names, and what the configuration's type refuses.
fn check(attribute: &Attribute, config: &Type) -> TokenStream {
    let found = match &attribute.check {
        Some(function) => quote_spanned!(function.span()=> #function(draft, ctx)),
        None => quote!({
            let _ = ctx;
            ::std::vec::Vec::new()
        }),
    };
    quote! {
        fn check(
            draft: &::flowcell_sdk::Draft,
            ctx: &mut ::flowcell_sdk::Context,
        ) -> ::std::vec::Vec<::flowcell_sdk::Finding> {
            let found = #found;
            ::flowcell_sdk::__private::of_config::<#config>(found, draft.config())
        }
    }
}

/// The implementation of `Sampling` where the attribute names a function for it.
fn sampling(attribute: &Attribute, ident: &syn::Ident) -> Option<TokenStream> {
    let function = attribute.sample.as_ref()?;
    let given = quote_spanned!(function.span()=> ::flowcell_sdk::__private::sample(given)?);
    Some(quote! {
        impl ::flowcell_sdk::Sampling for #ident {
            fn sample(
                given: &str,
                ctx: &mut ::flowcell_sdk::Context,
            ) -> ::core::result::Result<::std::string::String, ::std::string::String> {
                ::flowcell_sdk::__private::to_text(#function(#given, ctx))
            }
        }
    })
}

/// `enable`, which at least reads the configuration, and `disable` where the attribute names a function for it.
fn switching(attribute: &Attribute, config: &Type) -> TokenStream {
    let enable = match &attribute.enable {
        Some(function) => quote_spanned!(function.span()=>
            ::flowcell_sdk::__private::to_state(&#function(config, ctx)?)
        ),
        None => quote!({
            let _ = (config, ctx);
            ::core::result::Result::Ok(::std::vec::Vec::new())
        }),
    };
    let disable = attribute.disable.as_ref().map(|function| {
        quote_spanned! {function.span()=>
            fn disable(
                config: &str,
                state: &[u8],
                ctx: &mut ::flowcell_sdk::Context,
            ) -> ::core::result::Result<(), ::flowcell_sdk::Problem> {
                let config: #config = ::flowcell_sdk::__private::parse(config)?;
                #function(config, ::flowcell_sdk::__private::state(state)?, ctx)
            }
        }
    });
    quote! {
        fn enable(
            config: &str,
            ctx: &mut ::flowcell_sdk::Context,
        ) -> ::core::result::Result<::std::vec::Vec<u8>, ::flowcell_sdk::Problem> {
            let config: #config = ::flowcell_sdk::__private::parse(config)?;
            #enable
        }

        #disable
    }
}
