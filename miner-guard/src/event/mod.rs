//! Record → event: decode, enrich, aggregate.
