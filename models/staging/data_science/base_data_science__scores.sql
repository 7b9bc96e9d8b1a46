{{ config(materialized='incremental', incremental_strategy=file_strategy()) }}

{{ landed_records('data_science', 'scores') }}
