{%- set fields = ['product_id', 'viewed_at'] -%}

with sessions as (

    select * from {{ ref('sessions') }}

),

views as (

    {{ json_list_rows('sessions', ['namespace', 'session_id', 'customer_id', 'started_at'], 'views') | indent(4) }}

),

parsed as (

    {{ json_documents('views', 'element', fields, is_sound('element')) | indent(4) }}

)

select
    namespace,
    session_id,
    position as view_number,
    customer_id,
    {{ name_said('product_id') }} as product_id,
    coalesce({{ try_timestamp(json_field('document', 'viewed_at')) }}, started_at) as viewed_at
from parsed
where left(element, 1) = '{{ "{" }}'
