{{ config(materialized='incremental', incremental_strategy=file_strategy(), indexes=raw_indexes()) }}

{{ landed_records('platform', 'audiences', needs=['namespace', 'audience_id', 'updated_at'], newest_counts=true) }}
