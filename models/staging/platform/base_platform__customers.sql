{{ config(materialized='incremental', incremental_strategy=file_strategy(), indexes=raw_indexes()) }}

{{ landed_records('platform', 'customers', needs=['updated_at'], newest_counts=true) }}
