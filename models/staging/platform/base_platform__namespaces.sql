{{ config(materialized='incremental', incremental_strategy=file_strategy()) }}

{{ landed_records('platform', 'namespaces', needs=['namespace', 'updated_at']) }}
