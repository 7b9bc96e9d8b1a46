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
    {{ name_said('namespace') }} as namespace,
    {{ name_said('customer_id') }} as customer_id,
    nullif({{ code(json_field('document', 'model')) }}, '') as score,
    {{ try_double(json_field('document', 'score')) }} as raw_score,
    {{ time_of_record('computed_at') }} as computed_at,
    {{ try_timestamp(json_field('document', 'updated_at')) }} as updated_at,
    loaded_at,
    file_name,
    line_number
from parsed
where fault is null
