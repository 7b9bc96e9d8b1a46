{%- set fields = [
    'namespace', 'session_id', 'customer_id', 'device_type', 'started_at', 'views', 'updated_at'
] -%}

with sessions as (

    select * from {{ ref('base_commerce__sessions') }}

),

parsed as (

    {{ json_documents('sessions', 'payload', fields) | indent(4) }}

)

select
    {{ name_said('namespace') }} as namespace,
    {{ name_said('session_id') }} as session_id,
    {{ name_said('customer_id') }} as customer_id,
    nullif({{ code(json_field('document', 'device_type')) }}, '') as device_type,
    {{ time_of_record('started_at') }} as started_at,
    {{ json_field('document', 'views') }} as views,
    {{ time_of_record('updated_at') }} as updated_at,
    loaded_at,
    file_name,
    line_number
from parsed
where fault is null
