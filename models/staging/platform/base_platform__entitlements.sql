{{ config(materialized='incremental', incremental_strategy=file_strategy()) }}

{{ landed_records('platform', 'entitlements', needs=['namespace', 'entitlement']) }}
