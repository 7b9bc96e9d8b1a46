{{ config(materialized='incremental', incremental_strategy=file_strategy(), indexes=raw_indexes()) }}

{{ landed_records('platform', 'namespaces', needs=['namespace', 'updated_at'], newest_counts=true) }}
