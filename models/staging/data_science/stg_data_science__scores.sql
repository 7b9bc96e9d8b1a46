{%- set fields = [
    'namespace', 'customer_id', 'model', 'score', 'computed_at', 'updated_at'
] -%}

with scores as (

    select * from {{ ref('base_data_science__scores') }}

),

parsed as (

    {{ json_documents('scores', 'payload', fields) | indent(4) }}

)

select
    nullif({{ json_field('document', 'namespace') }}, '') as namespace,
    nullif({{ json_field('document', 'customer_id') }}, '') as customer_id,
    nullif({{ json_field('document', 'model') }}, '') as score,
    {{ try_double(json_field('document', 'score')) }} as raw_score,
    {{ try_timestamp(json_field('document', 'computed_at')) }} as computed_at,
    {{ try_timestamp(json_field('document', 'updated_at')) }} as updated_at,
    loaded_at,
    file_name,
    line_number
from parsed
where fault is null
