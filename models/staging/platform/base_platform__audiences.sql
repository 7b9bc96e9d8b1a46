{{ config(materialized='incremental', incremental_strategy=file_strategy()) }}

{{ landed_records('platform', 'audiences', needs=['namespace', 'audience_id', 'updated_at']) }}
