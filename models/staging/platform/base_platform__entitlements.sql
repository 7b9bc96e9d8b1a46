{{ config(materialized='incremental', incremental_strategy=file_strategy(), indexes=raw_indexes()) }}

{{ landed_records('platform', 'entitlements', needs=['namespace', 'entitlement']) }}
