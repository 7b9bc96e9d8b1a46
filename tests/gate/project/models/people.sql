{{ config(meta={'dataset': {'order_by': ['email'], 'key': 'email', 'contacts': ['email']}}) }}
select distinct namespace, email from {{ ref('stg_events') }} order by namespace, email
